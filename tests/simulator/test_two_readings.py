"""What client and simulator say to each other, checked against the tables of the manual's five pages alone.

The tables below are written from the pages, and neither from the client nor from the simulator: a mistake
that both of them share would pass every other test.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any, NamedTuple

import pytest

from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.conftest import (  # noqa: F401 - fixtures
    _own_environment,
    connect,
    serve,
    start,
)
from tests.hooks.support import read_request


class Field(NamedTuple):
    """A line of a table.

    :param type: as the page has it, ``Integer`` and ``Number`` being JSON numbers
    :param mandatory: whether it has to be there
    :param longest: in characters, where the page says so
    :param among: the only values, where the page lists them, or an expression that they match
    """

    type: str
    mandatory: bool = False
    longest: int | None = None
    among: str | None = None


class Page(NamedTuple):
    """A page of the manual: one interface."""

    method: str
    path: str
    headers: dict[str, Field]
    body: dict[str, Field] | None
    reply: dict[str, Any]


BEARER = r"Bearer \S+"
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.AgentGateway1"
JSON_UTF8 = r"application/json; charset=UTF-8"

PAGES = {
    # "Querying the Account Sign-in Result (queryAgentLoginParams)"
    "queryAgentLoginParams": Page(
        "POST",
        "/apiaccess/CC-Management/v1/queryAgentLoginParams",
        {"X-APP-Key": Field("String"), "Authorization": Field("String", True, among=BEARER)},
        {"password": Field("String", True, 100), "account": Field("String", True, 100)},
        {
            "message": Field("String", longest=1024),
            "returnCode": Field("String", longest=10, among="0|1"),
            "results": {
                "workNo": Field("String", longest=5),
                "password": Field("String", longest=100),
                "sipAccount": Field("String", longest=24),
                "sipPwd": Field("String", longest=100),
                "sipServerInfo": [
                    {
                        "sipServiceIp": Field("String", longest=50),
                        "sipServicePort": Field("String", longest=5),
                        "node": Field("String", longest=10),
                        "type": Field("String", longest=10, among="0|1"),
                    }
                ],
            },
        },
    ),
    # "Querying Agent Information by Sign-in Account (queryAgentInfoByAccount)"
    "queryAgentInfoByAccount": Page(
        "POST",
        "/apiaccess/rest/CC-Management/v1/queryAgentInfoByAccount",
        {"X-APP-Key": Field("String"), "Authorization": Field("String", among=BEARER)},
        {
            "accountCode": Field("String", True, 64),
            "password": Field("String", longest=64),
            "username": Field("String", longest=64),
        },
        {
            "returnCode": Field("String", True, among="0|1"),
            "description": Field("String", True),
            "data": {
                "workNo": Field("Integer"),
                "agentType": Field("Integer"),
                "agentStatus": Field("String"),
            },
        },
    ),
    # "C5 Intelligent Auxiliary Interface Authentication"
    "config/login": Page(
        "POST",
        "/agentgateway/resource/config/login",
        {"Content-Type": Field("String", True, among=JSON_UTF8)},
        {"agentId": Field("Number", True), "password": Field("String", True)},
        {
            "message": Field("String"),
            "retcode": Field("String"),
            "result": {"guid": Field("String", among=GUID)},
        },
    ),
    # "Obtaining Token Information"
    "logininfo": Page(
        "POST",
        "/agentgateway/resource/onlineagent/10001/logininfo",
        {
            "Content-Type": Field("String", True, among=JSON_UTF8),
            "Guid": Field("String", True, among=GUID),
        },
        None,
        {
            "message": Field("String"),
            "retcode": Field("String"),
            "result": {"phonetoken": Field("String"), "phonenum": Field("String")},
        },
    ),
    # "Authentication Interface" of CC-iSales. Sample and table disagree on the types of the code and the
    # periods: numbers there, strings here.
    "auth/login": Page(
        "POST",
        "/rest/isales/v1/openapi/obs/auth/login",
        {"Content-Type": Field("String", among="application/json")},
        {"user": Field("String", True), "passwd": Field("String", True)},
        {
            "result": Field("String or Integer"),
            "resultData": {
                "token": Field("String"),
                "tokenExpirationTime": Field("String or Integer"),
                "refreshToken": Field("String"),
                "refreshExpirationTime": Field("String or Integer"),
            },
        },
    ),
}
#: Headers that HTTP itself asks for, or that no page forbids.
OF_HTTP = {"host", "content-length", "connection", "user-agent", "accept", "accept-encoding", "content-type"}


class Exchange(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    reply_headers: dict[str, str]
    reply: Any


def parsed(message: bytes) -> tuple[str, dict[str, str], Any]:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return first, headers, json.loads(body) if body else None


@pytest.fixture
def overheard(start, serve, monkeypatch):  # noqa: F811
    """A contact center over plain http behind a proxy that notes every exchange, by its page."""
    cc = start(tls=False)
    cc.change_agent("agent000000", agent_id=10001)
    exchanges: list[Exchange] = []

    def relay(client):
        while request := read_request(client):
            # A proxy gets the whole address in the first line.
            request = request.replace(cc.url.encode(), b"", 1)
            with socket.create_connection((cc.host, cc.port), timeout=10) as server:
                server.sendall(request)
                reply = read_request(server)
            first, headers, body = parsed(request)
            _, reply_headers, said = parsed(reply)
            method, path, _ = first.split(" ")
            exchanges.append(Exchange(method, path, headers, body, reply_headers, said))
            client.sendall(reply)

    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{serve(relay).port}")
    return cc, exchanges


def use_everything(cc):
    """Call each of the five interfaces as a user of the hooks does, right and wrong."""
    agent, settings = cc.agent("agent000000"), cc.settings
    management = CCManagementHook()
    management.query_agent_info(agent.account)
    management.query_agent_info(agent.account, username=settings.user_name, password=settings.user_password)
    management.query_agent_login_params(agent.account, agent.password)
    CCISalesHook().login()
    gateway = CCGatewayHook()
    gateway.login()
    with gateway.agent_session(agent.agent_id, agent.agent_password, agent.softphone_number) as seat:
        seat.query_login_info()


def problems(fields: dict[str, Any], values: Any, where: str) -> list[str]:
    """What is in a body or among headers that is not in the table, or not as the table has it."""
    if not isinstance(values, dict):
        return [f"{where} is no object"]
    found = [f"{where}.{name} is not in the table" for name in values.keys() - fields.keys()]
    for name, field in fields.items():
        place = f"{where}.{name}"
        if name not in values:
            found += [f"{place} is missing"] if isinstance(field, Field) and field.mandatory else []
        elif isinstance(field, dict):
            found += problems(field, values[name], place)
        elif isinstance(field, list):
            rows = values[name] if isinstance(values[name], list) else [None]
            found += [problem for row in rows for problem in problems(field[0], row, place)]
        else:
            found += wrong(field, values[name], place)
    return found


def wrong(field: Field, value: Any, place: str) -> list[str]:
    types = {"String": str, "Integer": int, "Number": int, "String or Integer": (str, int)}[field.type]
    if not isinstance(value, types) or isinstance(value, bool):
        return [f"{place} is no {field.type}"]
    text = str(value)
    found = []
    if field.longest is not None and len(text) > field.longest:
        found.append(f"{place} is longer than {field.longest}")
    if field.among is not None and not re.fullmatch(field.among, text):
        found.append(f"{place} is not like {field.among}")
    return found


def of_pages(overheard):
    """Return the exchanges of each page; others, such as an agent's sign-in, are on none of the five."""
    cc, exchanges = overheard
    use_everything(cc)
    by_path = {page.path: name for name, page in PAGES.items()}
    found: dict[str, list[Exchange]] = {name: [] for name in PAGES}
    for exchange in exchanges:
        if exchange.path in by_path:
            found[by_path[exchange.path]].append(exchange)
    return found


def test_every_exchange_is_as_its_page_has_it(overheard):
    """Path, method, headers and fields, and no others."""
    found = of_pages(overheard)
    assert {name: len(exchanges) for name, exchanges in found.items()} == {
        "queryAgentLoginParams": 1,
        "queryAgentInfoByAccount": 2,
        "config/login": 1,
        "logininfo": 1,
        "auth/login": 1,
    }
    for name, exchanges in found.items():
        page = PAGES[name]
        for exchange in exchanges:
            assert exchange.method == page.method
            given = {key.lower(): value for key, value in exchange.headers.items()}
            table = {key.lower(): field for key, field in page.headers.items()}
            own = {key: value for key, value in given.items() if key in table or key not in OF_HTTP}
            assert problems(table, own, name) == []
            assert (
                exchange.body is None if page.body is None else problems(page.body, exchange.body, name) == []
            )
            assert problems(page.reply, exchange.reply, name) == []

    # The two scenarios of the account query are told apart as on its page.
    signed, by_user = found["queryAgentInfoByAccount"]
    assert signed.body.keys() == {"accountCode"}
    assert re.fullmatch(BEARER, signed.headers["Authorization"])
    assert by_user.body.keys() == {"accountCode", "username", "password"}
    assert "Authorization" not in by_user.headers
    assert by_user.headers["Content-Type"].startswith("application/json")

    (exchange,) = found["config/login"]
    assert exchange.reply_headers["Guid"] == exchange.reply["result"]["guid"]


def test_an_account_that_is_not_found_has_an_empty_string_for_its_number(overheard):
    cc, exchanges = overheard
    for code in ("0", "1"):
        cc.settings.missing_account_code = code
        with pytest.raises(Exception, match="queryAgentInfoByAccount"):
            CCManagementHook().query_agent_info("nobody")
        assert exchanges[-1].reply["data"]["workNo"] == ""


def test_the_tables_would_tell():
    table = PAGES["queryAgentInfoByAccount"].body
    assert problems(table, {"accountCode": "a" * 64}, "") == []
    assert problems(table, {"accountCode": "a" * 65}, "") == [".accountCode is longer than 64"]
    assert problems(table, {"accountcode": "a"}, "") == [
        ".accountcode is not in the table",
        ".accountCode is missing",
    ]
    assert problems(table, {"accountCode": 7}, "") == [".accountCode is no String"]
    assert problems(PAGES["config/login"].body, {"agentId": "101", "password": "p"}, "") == [
        ".agentId is no Number"
    ]
