"""A running contact center and a bare client for it: `requests`, real sockets, real TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from airflow_provider_cc.simulator import Faults, Settings, Simulator, faults, gateway, site
from tests.hooks.conftest import Clock

TOKEN = "/apigovernance/api/oauth/tokenByAkSk"
INFO = "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount"
PARAMS = "/apiaccess/CC-Management/v1/queryAgentLoginParams"
DIRECTORY = "/apiaccess/rest/cc-management/v1/agentAccount/query"
GATEWAY = "/agentgateway/resource/"
ISALES = "/rest/isales/v1/openapi/obs/"
JSON_UTF8 = {"Content-Type": "application/json; charset=UTF-8"}


class Client:
    """Sends what a test says, as it says it."""

    def __init__(self, cc: Simulator, clock: Clock | None = None) -> None:
        self.cc = cc
        self.clock = clock
        self.session = requests.Session()
        # Otherwise a CA bundle or proxy of the environment takes precedence.
        self.session.trust_env = False

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        more.setdefault("timeout", 15)
        return self.session.request(method, self.cc.url + path, verify=self.cc.ca_file or True, **more)

    def ask_token(self, **more: Any) -> requests.Response:
        settings = self.cc.settings
        more.setdefault("json", {"app_key": settings.app_key, "app_secret": settings.app_secret})
        return self.send("POST", TOKEN, **more)

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.ask_token().json()['AccessToken']}"}

    def info(self, body: Any, headers: Any = None, **more: Any) -> requests.Response:
        headers = self.bearer() if headers is None else headers
        return self.send("POST", INFO, json=body, headers=headers, **more)

    def params(self, body: Any, headers: Any = None) -> requests.Response:
        headers = self.bearer() if headers is None else headers
        return self.send("POST", PARAMS, json=body, headers=headers)

    def directory(self, body: Any, headers: Any = None) -> requests.Response:
        headers = self.bearer() if headers is None else headers
        return self.send("POST", DIRECTORY, json=body, headers=headers)

    def config_login(self, body: Any = None, headers: Any = JSON_UTF8) -> requests.Response:
        if body is None:
            body = {"agentId": self.cc.settings.admin_id, "password": self.cc.settings.admin_password}
        return self.send("POST", GATEWAY + "config/login", json=body, headers=headers)

    def vdn_agents(self, guid: str | None) -> requests.Response:
        headers = {} if guid is None else {"Guid": guid}
        return self.send("GET", GATEWAY + "config/vdn/agents", headers=headers)

    def sign_in(self, account: str, *, force: bool = False, **changes: Any) -> requests.Response:
        agent = self.cc.agent(account)
        body = {"password": agent.agent_password, "phonenum": agent.softphone_number, **changes}
        path = f"{GATEWAY}onlineagent/{agent.agent_id}" + ("/forcelogin" if force else "")
        return self.send("PUT", path, json=body, headers=JSON_UTF8)

    def agent_guid(self, account: str) -> str:
        return guid_of(self.sign_in(account))

    def agent_call(self, method: str, path: str, guid: str, **more: Any) -> requests.Response:
        return self.send(method, GATEWAY + path, headers={**JSON_UTF8, "Guid": guid}, **more)

    def isales_login(self, **more: Any) -> requests.Response:
        settings = self.cc.settings
        more.setdefault("json", {"user": settings.isales_user, "passwd": settings.isales_password})
        return self.send("POST", ISALES + "auth/login", **more)

    def isales_refresh(self, token: str, **more: Any) -> requests.Response:
        more.setdefault("headers", {"Authentication": f"Bearer {token}"})
        return self.send("POST", ISALES + "auth/refresh", json={"refreshToken": token}, **more)

    def isales_tasks(self, header: str, value: str) -> requests.Response:
        return self.send("POST", ISALES + "business/tasks", json={"name": "t"}, headers={header: value})


def guid_of(reply: requests.Response) -> str:
    return reply.headers["Set-GUID"].removeprefix("JSESSIONID=")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that sessions, agents and rate limits of the center live by, which a test can put forward."""
    clock = Clock()
    for module in (faults, gateway, site):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def start() -> Iterator[Callable[..., Client]]:
    """Start a contact center from settings and faults; it stops when the test ends."""
    with ExitStack() as stack:

        def start(settings: Settings | None = None, faults: Faults | None = None) -> Client:
            cc = stack.enter_context(Simulator(settings or Settings(agents=50, seed=7), faults))
            client = Client(cc)
            stack.callback(client.session.close)
            return client

        yield start


@pytest.fixture
def client(start: Callable[..., Client]) -> Client:
    """A client of a contact center with 50 agents."""
    return start()
