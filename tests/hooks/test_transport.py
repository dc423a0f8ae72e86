"""What goes over the wire: headers, cookies, proxies, kept connections; by both clients alike."""

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
    INFO,
    OK,
    PLAIN,
    TASKS,
    TOKEN,
    VDN_AGENTS,
    at_once,
    http,
    in_threads,
    info,
    proxy,
    read_request,
    unused_port,
)
from tests.hooks.test_sign_ins import SYSTEMS

EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
EVERY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)


@pytest.fixture
def recorded(start):
    """A contact center that keeps what it was asked."""
    return start(record=True)


def requests_to(cc, endpoint):
    return [request for request in cc.stats.recorded if request.endpoint == endpoint]


# Headers


@EVERY_CLIENT
@EVERY_SYSTEM
def test_every_request_says_who_asks(recorded, ask, system):
    hook, call, _, _ = SYSTEMS[system]
    ask(hook(), call())
    agents = {request.headers["User-Agent"] for request in recorded.stats.recorded}
    assert agents == {f"airflow-provider-cc/{version('airflow-provider-cc')}"}


@EVERY_CLIENT
def test_a_call_to_cc_management_is_signed_as_the_manual_has_it(recorded, ask):
    ask(CCManagementHook(), info())
    (asked,), (signed_in,) = requests_to(recorded, INFO), requests_to(recorded, TOKEN)
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


@EVERY_CLIENT
def test_a_call_to_cc_gateway_is_signed_as_the_manual_has_it(recorded, ask):
    _, call, _, _ = SYSTEMS["gateway"]
    ask(CCGatewayHook(), call())
    (asked,), (signed_in,) = requests_to(recorded, VDN_AGENTS), requests_to(recorded, "config/login")
    assert re.fullmatch(r"[0-9a-f-]{36}\.AgentGateway1", asked.headers["Guid"])
    assert asked.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert "Guid" not in signed_in.headers
    assert signed_in.json == {"agentId": 101, "password": recorded.settings.admin_password}


@EVERY_CLIENT
def test_a_call_to_cc_isales_is_signed_as_the_manual_has_it(recorded, ask):
    _, call, _, _ = SYSTEMS["isales"]
    ask(CCISalesHook(), call())
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


@EVERY_CLIENT
def test_a_tenant_space_is_named_on_every_call(start, ask):
    cc = start(tenant_space_id="tenant-7", record=True)
    ask(CCManagementHook(), info())
    assert {request.headers["X-TenantSpaceID"] for request in cc.stats.recorded} == {"tenant-7"}


@pytest.mark.parametrize(
    "netrc", ["machine 127.0.0.1 login mallory password wrong", "default login mallory password wrong"]
)
@EVERY_CLIENT
@EVERY_SYSTEM
def test_a_netrc_file_changes_nothing(recorded, ask, system, netrc, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(netrc)
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    hook, call, _, _ = SYSTEMS[system]
    ask(hook(), call())
    assert not [
        request
        for request in recorded.stats.recorded
        if request.headers.get("Authorization", "").startswith("Basic")
    ]


# Redirects


@EVERY_CLIENT
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(serve, connect, ask, status):
    elsewhere = serve(lambda connection: read_request(connection))

    def handle(connection):
        while request := read_request(connection):
            if TOKEN.encode() in request.partition(b"\r\n")[0]:
                connection.sendall(http(b'{"AccessToken":"a-token"}'))
            else:
                location = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n"
                connection.sendall(http(b"", f"{status} Elsewhere", location))

    connect("cc_management_default", PLAIN, port=serve(handle).port)
    with pytest.raises(CCResponseError, match="redirect"):
        ask(CCManagementHook(), info())
    assert elsewhere.connections == 0


# Cookies


@EVERY_CLIENT
@EVERY_SYSTEM
def test_the_first_cookie_of_a_load_balancer_is_sent_with_every_call(start, ask, system):
    cc = start(sticky_cookie=True, record=True)
    hook, call, _, _ = SYSTEMS[system]
    hook = hook()
    for _ in range(3):
        ask(hook, call())
    first, *others = [request.headers.get("Cookie") for request in cc.stats.recorded]
    assert first is None
    assert len(others) == 3
    assert len(set(others)) == 1
    assert cc.stats.sign_ins(system) == 1


def test_the_cookie_reaches_every_coroutine_of_the_first_bulk_run(start):
    cc = start(sticky_cookie=True)
    results = at_once(CCManagementHook(), [info(account) for account in cc.accounts(limit=64)])
    assert [result.agent_id for result in results] == list(range(10001, 10065))
    assert cc.stats.sign_ins() == 1


def test_the_cookie_survives_a_lapse(start):
    cc = start(sticky_cookie=True)
    hook = CCManagementHook()
    at_once(hook, [info()])
    cc.expire_sessions()
    results = at_once(hook, [info(account) for account in cc.accounts(limit=20)])
    assert [type(result).__name__ for result in results] == ["AgentInfo"] * 20
    assert cc.stats.sign_ins() == 2


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
    accounts = list(cc.accounts()) * 3
    results = in_threads(management, [info(account) for account in accounts])
    assert [result.account for result in results] == accounts


# Proxies


@EVERY_CLIENT
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_proxy_of_the_environment_is_used(cc, management, ask, serve, monkeypatch, name, scheme):
    seen = []
    server = serve(proxy(seen))
    monkeypatch.setenv(name, f"{scheme}127.0.0.1:{server.port}")
    assert ask(management, info()).agent_id == 10001
    tunnels = {line.split()[1] for line in seen}
    assert tunnels == {f"127.0.0.1:{cc.port}".encode()}
    assert len(seen) == (1 if ask is CLIENTS["requests"] else 2)


@EVERY_CLIENT
def test_a_plain_request_goes_through_the_proxy_too(start, ask, serve, monkeypatch):
    start(tls=False)
    seen = []
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{serve(proxy(seen)).port}")
    assert ask(CCManagementHook(), info()).agent_id == 10001
    assert {line.split()[0] for line in seen} == {b"POST"}


@EVERY_CLIENT
@pytest.mark.parametrize("spared", ["127.0.0.1", "*", "127.0.0.0/8", "localhost,127.0.0.1", " 127.0.0.1 , x"])
def test_no_proxy_spares_a_host_in_both_clients_alike(cc, management, ask, monkeypatch, spared):
    with unused_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", spared)
        assert ask(management, info()).agent_id == 10001


@EVERY_CLIENT
def test_no_proxy_for_others_spares_nobody(cc, management, ask, serve, monkeypatch):
    seen = []
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{serve(proxy(seen)).port}")
    monkeypatch.setenv("NO_PROXY", "example.com,10.0.0.0/8")
    assert ask(management, info()).agent_id == 10001
    assert seen


@EVERY_CLIENT
def test_a_proxy_that_does_not_answer_is_named(cc, management, ask, monkeypatch):
    management.send(info())
    hook = CCManagementHook()
    with unused_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(
            Exception, match=r"connect: the proxy \(HTTPS_PROXY, HTTP_PROXY or ALL_PROXY\) did not connect"
        ):
            ask(hook, info())


@EVERY_CLIENT
def test_a_proxy_that_refuses_is_named(cc, management, ask, serve, monkeypatch):
    refusing = serve(
        lambda connection: connection.sendall(http(b"", "407 Who") if read_request(connection) else b"")
    )
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{refusing.port}")
    with pytest.raises(
        Exception, match=r"connect: the proxy \(HTTPS_PROXY, HTTP_PROXY or ALL_PROXY\) did not connect"
    ):
        ask(management, info())


def test_no_file_is_left_behind(cc, management, tmp_path):
    management.send(info())
    assert list(Path(tmp_path).iterdir()) == []
