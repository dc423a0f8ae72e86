"""Every switch of the simulator changes what it says: asked the same, a center answers otherwise."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import fields
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import requests

from airflow_provider_cc.simulator import Faults, Settings, Simulator
from tests.hooks.conftest import Clock
from tests.simulator.conftest import INFO, TOKEN, Client

ONE = "agent000001"
ALSO: dict[str, Any] = {"agents": 50, "seed": 7, "tls": False}


class Switch(NamedTuple):
    """A switch, and a question that tells.

    :param value: what it is turned to
    :param ask: the question
    :param usual: its answer without
    :param changed: its answer with it
    :param also: other settings and faults, both times
    """

    value: Any
    ask: Callable[[Client], Any]
    usual: Any
    changed: Any
    also: Mapping[str, Any] = MappingProxyType({})


# Questions


def status(client: Client) -> int:
    return client.info({"accountCode": ONE}).status_code


def later(seconds: float, ask: Callable[[Client], Callable[[], Any]]) -> Callable[[Client], Any]:
    """Begin something, put the clock forward, and see what has become of it."""

    def question(client: Client) -> Any:
        assert client.clock
        end = ask(client)
        client.clock.ahead += seconds
        return end()

    return question


def with_token(client: Client) -> Callable[[], int]:
    headers = client.bearer()
    return lambda: client.info({"accountCode": ONE}, headers).status_code


def with_guid(client: Client) -> Callable[[], str]:
    guid = client.config_login().json()["result"]["guid"]
    return lambda: client.vdn_agents(guid).json()["retcode"]


def with_isales(client: Client) -> Callable[[], int]:
    token = client.isales_login().json()["resultData"]["token"]
    return lambda: client.isales_tasks("Authentication", f"Bearer {token}").status_code


def with_refresh(client: Client) -> Callable[[], int]:
    token = client.isales_login().json()["resultData"]["refreshToken"]
    return lambda: client.isales_refresh(token).status_code


def with_agent(client: Client) -> Callable[[], list[int]]:
    client.sign_in(ONE)
    return client.cc.signed_in_agents


def polled_for(client: Client) -> bool:
    """Whether an event poll with nothing to tell takes its time."""
    agent = client.cc.agent(ONE).agent_id
    guid = client.agent_guid(ONE)
    reply = client.agent_call("GET", f"agentevent/{agent}", guid)  # the sign-in itself is an event
    guid = reply.headers.get("Set-GUID", f"={guid}").partition("=")[2]
    begun = time.monotonic()
    with suppress(requests.Timeout):
        client.agent_call("GET", f"agentevent/{agent}", guid, timeout=1.5)
    return time.monotonic() - begun > 1


def new_guid_after_poll(client: Client) -> bool:
    agent = client.cc.agent(ONE).agent_id
    return "Set-GUID" in client.agent_call("GET", f"agentevent/{agent}", client.agent_guid(ONE)).headers


def logininfo_at_once(client: Client) -> str:
    agent = client.cc.agent(ONE).agent_id
    reply = client.agent_call("POST", f"onlineagent/{agent}/logininfo", client.agent_guid(ONE))
    return reply.json()["retcode"]


def guid_places(client: Client) -> tuple[bool, bool]:
    reply = client.config_login()
    return "guid" in reply.json()["result"], "Guid" in reply.headers


def isales_accepts(client: Client) -> list[tuple[str, str]]:
    """Which header, with which token, opens a business interface."""
    data = client.isales_login().json()["resultData"]
    return [
        (header, kind)
        for header in ("Authentication", "Authorization")
        for kind in ("token", "refreshToken")
        if client.isales_tasks(header, f"Bearer {data[kind]}").status_code == 200
    ]


def signs_in(system: str, **credentials: Any) -> Callable[[Client], bool]:
    """Whether a system takes a credential; what is not given is the usual one."""
    usual = Settings()

    def of(name: str) -> Any:
        return credentials.get(name, getattr(usual, name))

    def question(client: Client) -> bool:
        if system == "management":
            body = {"app_key": of("app_key"), "app_secret": of("app_secret")}
            return client.ask_token(json=body).status_code == 200
        if system == "user":
            body = {"accountCode": ONE, "username": of("user_name"), "password": of("user_password")}
            return client.info(body, {}).status_code == 200
        if system == "isales":
            body = {"user": of("isales_user"), "passwd": of("isales_password")}
            return client.isales_login(json=body).status_code == 200
        body = {"agentId": of(f"{system}_id" if system == "admin" else "vdn_account")}
        reply = client.config_login({**body, "password": of(f"{system}_password")})
        return reply.json()["retcode"] == "0"

    return question


def credential(system: str, name: str, value: Any) -> Switch:
    """A switch for a credential: the new one is taken by the changed center alone."""
    return Switch(value, signs_in(system, **{name: value}), False, True)


def refused(client: Client) -> tuple[int, int]:
    wrong = {"app_key": "a", "app_secret": "b"}
    isales = client.isales_login(json={"user": "a", "passwd": "b"})
    return client.ask_token(json=wrong).status_code, isales.status_code


def directory(path: Callable[[dict[str, Any], int], Any], **body: Any) -> Callable[[Client], Any]:
    def question(client: Client) -> Any:
        reply = client.directory({"pageNum": 0, "pageSize": 10, **body})
        return path(reply.json(), reply.status_code)

    return question


def certificate(client: Client) -> str:
    """How the server's certificate stands with who trusts the authority for 127.0.0.1."""
    context = ssl.create_default_context(cafile=client.cc.ca_file)
    try:
        with (
            socket.create_connection((client.cc.host, client.cc.port), 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            return "trusted"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.partition(",")[0]


def replies(count: int) -> Callable[[Client], Any]:
    """Ask several times; what came back, as status and body."""

    def question(client: Client) -> Any:
        headers = client.bearer()
        said = []
        for _ in range(count):
            try:
                reply = client.info({"accountCode": ONE}, headers)
            except requests.RequestException:
                said.append("broken")
            else:
                said.append(reply.status_code if reply.content else "empty")
        return said

    return question


def takes(seconds: float) -> Callable[[Client], bool]:
    """Whether a reply takes so long at least."""

    def question(client: Client) -> bool:
        headers = client.bearer()
        begun = time.monotonic()
        client.info({"accountCode": ONE}, headers)
        return time.monotonic() - begun >= seconds

    return question


def error_type(client: Client) -> str:
    return client.info({"accountCode": ONE}, {}).headers["Content-Type"].partition(";")[0]


def is_json(client: Client) -> bool:
    try:
        client.info({"accountCode": ONE}).json()
    except ValueError:
        return False
    return True


def second_token_leaves_the_first(client: Client) -> int:
    first = client.bearer()
    client.bearer()
    return client.info({"accountCode": ONE}, first).status_code


def blamed(client: Client) -> bool:
    return "not-this" in client.ask_token(json={"app_key": "a", "app_secret": "not-this"}).text


def path_status(path: str) -> Callable[[Client], int]:
    def question(client: Client) -> int:
        usual = Settings()
        user = {"username": usual.user_name, "password": usual.user_password}  # the tokens' path moves, too
        return client.send("POST", path, json={"accountCode": ONE, **user}).status_code

    return question


def lines_of(account: str) -> Callable[[Client], Any]:
    """Ask the directory for one account: whose are its lines?"""

    def question(client: Client) -> Any:
        return [row["userAccount"] for row in client.directory({"userAccount": account}).json()["data"]]

    return question


def first_of_page_one(client: Client) -> str:
    return client.directory({"pageNum": 1, "pageSize": 1}).json()["data"][0]["userAccount"]


def counted(what: Callable[[Client], Any]) -> Callable[[Client], Any]:
    """Ask for an agent; what the statistics then say."""

    def question(client: Client) -> Any:
        status(client)
        return what(client)

    return question


def hours_ahead(client: Client) -> int:
    date = parsedate_to_datetime(client.ask_token().headers["Date"])
    return round((date.timestamp() - time.time()) / 3600)


def certificates_in(client: Client) -> bool:
    return client.cc.ca_file is not None and Path(client.cc.ca_file).parent == FOLDER


def port_of(client: Client) -> bool:
    return client.cc.port == PORT


def _unused_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


PORT = _unused_port()
FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "tests" / "switches"
TLS = {"tls": True}

SETTINGS = {
    "agents": Switch(3, lambda client: len(list(client.cc.accounts())), 50, 3),
    "seed": Switch(8, lambda client: client.cc.agent(ONE).agent_type, 4, 11),
    "tls": Switch(True, lambda client: client.cc.url.partition(":")[0], "http", "https"),
    "host": Switch(
        "127.0.0.2", lambda client: client.cc.url.rpartition(":")[0], "http://127.0.0.1", "http://127.0.0.2"
    ),
    "port": Switch(PORT, port_of, False, True),
    "cert_dir": Switch(FOLDER, certificates_in, False, True, TLS),
    "certificate": Switch("expired", certificate, "trusted", "certificate has expired", TLS),
    "app_key": credential("management", "app_key", "another-key"),
    "app_secret": credential("management", "app_secret", "another-secret"),
    "user_name": credential("user", "user_name", "another-user"),
    "user_password": credential("user", "user_password", "another-password"),
    "admin_id": credential("admin", "admin_id", 202),
    "admin_password": credential("admin", "admin_password", "another-password"),
    "vdn_account": credential("vdn", "vdn_account", 100_002),
    "vdn_password": credential("vdn", "vdn_password", "another-password"),
    "isales_user": credential("isales", "isales_user", "another-user"),
    "isales_password": credential("isales", "isales_password", "another-password"),
    "tenant_space_id": Switch("tenant-7", lambda client: client.ask_token().status_code, 200, 400),
    "token_lifetime": Switch(1, later(2, with_token), 200, 401),
    "expires_in": Switch(
        "milliseconds", lambda client: client.ask_token().json()["Expires"], "3600", "3600000"
    ),
    "new_token_cancels_old": Switch(True, second_token_leaves_the_first, 200, 401),
    "guid_lifetime": Switch(60, later(61, with_guid), "0", "107-000"),
    "agent_timeout": Switch(60, later(61, with_agent), [10002], []),
    "event_poll": Switch(0.1, polled_for, True, False),
    "isales_token_lifetime": Switch(1, later(2, with_isales), 200, 401),
    "isales_refresh_lifetime": Switch(1, later(2, with_refresh), 200, 401),
    "authmode": Switch(1, new_guid_after_poll, True, False),
    "guid_from_poll_only": Switch(True, logininfo_at_once, "0", "000-003"),
    "config_guid_in": Switch("header", guid_places, (True, True), (False, True)),
    "isales_header": Switch(
        "Authorization", isales_accepts, [("Authentication", "token")], [("Authorization", "token")]
    ),
    "isales_token_kind": Switch(
        "refreshToken", isales_accepts, [("Authentication", "token")], [("Authentication", "refreshToken")]
    ),
    "paths": Switch("lower_case", path_status(INFO.lower()), 404, 200),
    "clock_ahead": Switch(7200.0, hours_ahead, 0, 2),
    "refused_status": Switch(401, refused, (403, 403), (401, 401)),
    "expired_status": Switch(403, lambda client: client.info({"accountCode": ONE}, {}).status_code, 401, 403),
    "missing_account_code": Switch(
        "1", lambda client: client.info({"accountCode": "nobody"}).json()["returnCode"], "0", "1"
    ),
    "max_page_size": Switch(5, directory(lambda _, status: status), 200, 500),
    "larger_pages": Switch(
        "cut", directory(lambda reply, _: len(reply.get("data", ()))), 0, 5, {"max_page_size": 5}
    ),
    "first_page": Switch(1, first_of_page_one, "agent000001", "agent000000"),
    "page_zero": Switch("empty", directory(lambda reply, _: len(reply["data"])), 10, 0, {"first_page": 1}),
    "directory_total": Switch("page", directory(lambda reply, _: reply["total"]), 50, 10),
    "directory_order": Switch("by_page", first_of_page_one, "agent000001", "agent000015"),
    "directory_overlap": Switch(1, first_of_page_one, "agent000001", "agent000000"),
    "directory_also": Switch(
        {1: {"userAccount": "idle", "agentType": 255}}, first_of_page_one, "agent000001", "idle"
    ),
    "directory_filter": Switch("ignored", lines_of(ONE), [ONE], [f"agent{n:06d}" for n in range(50)]),
    "letter_case": Switch("ignored", lines_of(ONE.upper()), [], [ONE]),
    "directory_omits": Switch(
        frozenset({"total"}), directory(lambda reply, _: "total" in reply), True, False
    ),
    "sip_servers": Switch(
        (),
        lambda client: len(
            client.params({"account": ONE, "password": client.cc.agent(ONE).password}).json()["results"][
                "sipServerInfo"
            ]
        ),
        2,
        0,
    ),
    "allow_listed": Switch(False, lambda client: client.config_login().status_code, 200, 403),
    "sticky_cookie": Switch(True, lambda client: bool(client.ask_token().cookies), False, True),
    "echo_secrets": Switch(True, blamed, False, True),
    "issue": Switch(
        lambda value: value[:7],
        lambda client: (
            len(client.bearer()["Authorization"]),
            len(client.config_login().headers["Guid"]),
            len(client.isales_login().json()["resultData"]["refreshToken"]),
        ),
        (47, 50, 32),
        (14, 7, 7),
    ),
    "record": Switch(
        True,
        counted(lambda client: [request.path for request in client.cc.stats.recorded]),
        [],
        [TOKEN, INFO],
    ),
    "count_accounts": Switch(True, counted(lambda client: dict(client.cc.stats.accounts)), {}, {ONE: 1}),
}
ONLY_INFO = {"only": {"queryAgentInfoByAccount"}}
FAULTS = {
    "latency": Switch(0.4, takes(0.4), False, True),
    # Up to a tenth of a second more or less than the latency: of six replies some are early.
    "jitter": Switch(
        0.1, lambda client: any(not takes(0.09)(client) for _ in range(6)), False, True, {"latency": 0.1}
    ),
    "slow_share": Switch(1.0, takes(0.4), False, True, {"slow_seconds": 0.4}),
    "slow_seconds": Switch(0.4, takes(0.4), False, True, {"slow_share": 1.0}),
    "errors": Switch({502: 1.0}, replies(2), [200, 200], [502, 502], ONLY_INFO),
    "rate_limit": Switch(0, lambda client: client.config_login().status_code, 200, 429),
    "retry_after": Switch(
        3, lambda client: client.config_login().headers.get("Retry-After"), None, "3", {"rate_limit": 0}
    ),
    "expire_every": Switch(60, later(61, with_token), 200, 401),
    "refuse_sign_ins": Switch(
        {"management", "isales"},
        lambda client: (
            client.ask_token().status_code,
            client.isales_login().status_code,
            guid_places(client),
        ),
        (200, 200, (True, True)),
        (403, 403, (True, True)),
    ),
    "reset_before": Switch(1.0, replies(2), [200, 200], ["broken", "broken"], ONLY_INFO),
    "reset_midway": Switch(1.0, replies(2), [200, 200], ["broken", "broken"], ONLY_INFO),
    "truncated": Switch(1.0, is_json, True, False, ONLY_INFO),
    "empty": Switch(1.0, replies(2), [200, 200], ["empty", "empty"], ONLY_INFO),
    "html_errors": Switch(True, error_type, "application/json", "text/html"),
    "vary_types": Switch(
        True, lambda client: client.info({"accountCode": ONE}).json()["data"]["workNo"], 10002, "10002"
    ),
    "overrides": Switch({ONE: (418, "tea")}, status, 200, 418),
    "only": Switch(
        {"config/login"},
        replies(1),
        [500],
        [200],
        {"errors": {500: 1.0}, "only": {"queryAgentInfoByAccount"}},
    ),
}


def test_no_switch_is_forgotten():
    assert {field.name for field in fields(Settings)} == SETTINGS.keys()
    assert {field.name for field in fields(Faults)} == FAULTS.keys()


def answer(switch: Switch, changes: dict[str, Any], clock: Clock) -> Any:
    """Start a contact center with these settings and faults, and ask."""
    given = {**switch.also, **changes}
    names = {field.name for field in fields(Settings)}
    settings = {name: value for name, value in given.items() if name in names}
    faults = {name: value for name, value in given.items() if name not in names}
    with ExitStack() as stack:
        cc = stack.enter_context(Simulator(Settings(**{**ALSO, **settings}), Faults(**faults)))
        client = Client(cc, clock)
        stack.callback(client.session.close)
        return switch.ask(client)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_what_it_says(name, clock):
    switch = SETTINGS[name]
    assert answer(switch, {}, clock) == switch.usual
    assert answer(switch, {name: switch.value}, clock) == switch.changed


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_what_it_says(name, clock):
    switch = FAULTS[name]
    assert answer(switch, {}, clock) == switch.usual
    assert answer(switch, {name: switch.value}, clock) == switch.changed
