"""What goes over the wire: headers, cookies, kept connections; by both clients alike."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from airflow_provider_cc.exceptions import CCResponseError
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import (
    CLIENTS,
    EVERY_CLIENT,
    INFO,
    OK,
    PLAIN,
    SYSTEMS,
    TASKS,
    TOKEN,
    VDN_AGENTS,
    at_once,
    http,
    in_threads,
    info,
    read_request,
)

USER_AGENT = f"airflow-provider-cc/{version('airflow-provider-cc')}"


@pytest.fixture
def recorded(start):
    """A contact center that keeps what it was asked."""
    return start(record=True)


def requests_to(cc, endpoint):
    return [request for request in cc.stats.recorded if request.endpoint == endpoint]


# Headers


@EVERY_CLIENT
def test_a_call_to_cc_management_is_signed_as_the_manual_has_it(recorded, ask):
    ask(CCManagementHook(), info())
    (asked,), (signed_in,) = requests_to(recorded, INFO), requests_to(recorded, TOKEN)
    assert asked.headers["User-Agent"] == signed_in.headers["User-Agent"] == USER_AGENT
    assert re.fullmatch(r"Bearer [0-9a-f]{40}", asked.headers["Authorization"])
    assert asked.headers["X-APP-Key"] == recorded.settings.app_key
    assert asked.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert (asked.method, asked.json) == ("POST", {"accountCode": "agent000000"})
    assert signed_in.headers["X-Token-Expire"] == "3600"
    assert "Authorization" not in signed_in.headers
    assert signed_in.json == {
        "app_key": recorded.settings.app_key,
        "app_secret": recorded.settings.app_secret,
    }


def test_a_call_to_cc_gateway_is_signed_as_the_manual_has_it(recorded):
    _, call, _, _ = SYSTEMS["gateway"]
    at_once(CCGatewayHook(), [call()])
    (asked,), (signed_in,) = requests_to(recorded, VDN_AGENTS), requests_to(recorded, "config/login")
    assert re.fullmatch(r"[0-9a-f-]{36}\.AgentGateway1", asked.headers["Guid"])
    assert asked.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert "Guid" not in signed_in.headers
    assert signed_in.json == {"agentId": 101, "password": recorded.settings.admin_password}


def test_a_call_to_cc_isales_is_signed_as_the_manual_has_it(recorded):
    _, call, _, _ = SYSTEMS["isales"]
    at_once(CCISalesHook(), [call()])
    (asked,), (signed_in,) = requests_to(recorded, TASKS), requests_to(recorded, "auth/login")
    assert asked.headers["Authentication"].startswith("Bearer ")
    assert asked.headers["Content-Type"] == "application/json"
    assert "Authorization" not in asked.headers
    assert signed_in.json == {
        "user": recorded.settings.isales_user,
        "passwd": recorded.settings.isales_password,
    }


def test_the_user_name_scenario_is_sent_as_in_the_sample(recorded):
    settings = recorded.settings
    CCManagementHook().query_agent_info(
        "agent000000", username=settings.user_name, password=settings.user_password
    )
    (asked,) = recorded.stats.recorded
    assert "Authorization" not in asked.headers
    assert "X-APP-Key" not in asked.headers
    assert asked.json == {
        "accountCode": "agent000000",
        "username": settings.user_name,
        "password": settings.user_password,
    }


def test_a_tenant_space_is_named_on_every_call(start):
    cc = start(tenant_space_id="tenant-7", record=True)
    at_once(CCManagementHook(), [info()])
    assert [request.headers["X-TenantSpaceID"] for request in cc.stats.recorded] == ["tenant-7"] * 2


# Redirects


@EVERY_CLIENT
def test_a_redirect_is_not_followed(serve, connect, ask):
    elsewhere = serve(lambda connection: read_request(connection))

    def handle(connection):
        while request := read_request(connection):
            if TOKEN.encode() in request.partition(b"\r\n")[0]:
                connection.sendall(http(b'{"AccessToken":"a-token"}'))
            else:
                location = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n"
                connection.sendall(http(b"", "307 Elsewhere", location))

    connect("cc_management_default", PLAIN, port=serve(handle).port)
    with pytest.raises(CCResponseError, match="redirect"):
        ask(CCManagementHook(), info())
    assert elsewhere.connections == 0


# Cookies


@pytest.mark.parametrize(
    ("system", "client"), [("gateway", "requests"), ("management", "aiohttp"), ("isales", "requests")]
)
def test_the_first_cookie_of_a_load_balancer_is_sent_with_every_call(start, system, client):
    cc = start(sticky_cookie=True, record=True)
    hook, call, _, _ = SYSTEMS[system]
    hook = hook()
    for _ in range(3):
        CLIENTS[client](hook, call())
    first, *others = [request.headers.get("Cookie") for request in cc.stats.recorded]
    assert first is None
    assert len(others) == 3
    assert len(set(others)) == 1
    assert cc.stats.sign_ins(system) == 1


def test_the_cookie_reaches_every_coroutine_of_a_bulk_run_and_survives_a_lapse(start):
    cc = start(sticky_cookie=True)
    hook = CCManagementHook()
    for sign_ins in (1, 2):
        results = at_once(hook, [info(account) for account in cc.accounts(limit=64)])
        assert [result.agent_id for result in results] == list(range(10001, 10065))
        assert cc.stats.sign_ins() == sign_ins
        cc.expire_sessions()


def test_an_agents_seat_keeps_its_cookie(start):
    cc = start(sticky_cookie=True)
    agent = cc.agent("agent000000")
    with CCGatewayHook().agent_session(agent.agent_id, agent.password, "88880001") as seat:
        assert seat.query_login_info().softphone_number == "88880001"
    assert cc.signed_in_agents() == []


# Kept connections


def counting(requests):
    def handle(connection):
        while request := read_request(connection):
            requests.append(request)
            signs_in = TOKEN.encode() in request
            connection.sendall(http(b'{"AccessToken":"a-token"}' if signs_in else OK))

    return handle


def test_single_calls_share_one_connection(serve, connect):
    requests = []
    server = serve(counting(requests))
    connect("cc_management_default", PLAIN, port=server.port)
    hook = CCManagementHook()
    for _ in range(5):
        hook.send(info())
    assert (len(requests), server.connections) == (6, 1)


async def test_bulk_calls_keep_their_connections(serve, connect):
    requests = []
    server = serve(counting(requests))
    connect("cc_management_default", PLAIN, port=server.port)
    async with CCManagementHook().bulk() as bulk:
        for _ in range(5):
            await bulk.call(info())
    assert (len(requests), server.connections) == (6, 2)


def test_a_kept_connection_that_the_server_has_closed_is_no_failure(serve, connect):
    requests = []

    def once(connection):
        requests.append(read_request(connection))
        body = b'{"AccessToken":"a-token"}' if len(requests) == 1 else OK
        connection.sendall(http(body))  # says nothing of closing, and closes

    connect("cc_management_default", PLAIN, port=serve(once).port)
    hook = CCManagementHook()
    assert [hook.send(info()).agent_id for _ in range(3)] == [7094] * 3


def test_20_threads_get_their_own_answers(cc, management):
    accounts = list(cc.accounts())
    results = in_threads(management, [info(account) for account in accounts])
    assert [result.account for result in results] == accounts


def test_no_file_is_left_behind(cc, management, tmp_path):
    management.send(info())
    assert list(Path(tmp_path).iterdir()) == []
