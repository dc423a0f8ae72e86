"""Where requests go: where the connection says, through the environment's proxy, and nowhere else."""

from __future__ import annotations

import base64

import pytest

from airflow_provider_cc.exceptions import CCConfigError, CCError, CCSignInUnavailable
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import CLIENTS, PLAIN, http, info, proxy, read_request, says
from tests.hooks.test_connection_failures import by_aiohttp, by_requests
from tests.hooks.test_sign_ins import SYSTEMS

EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
EVERY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)
CANARY = "Pr0xy-p@ss/wörd:1"


def authorization(request: bytes) -> str | None:
    """The credential that a request brings for a proxy."""
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name.lower() == b"proxy-authorization":
            return base64.b64decode(value.removeprefix(b"Basic ")).decode("latin-1")
    return None


# Redirects


@pytest.mark.parametrize("hook", [CCManagementHook, CCGatewayHook, CCISalesHook])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_sign_in_goes_no_further(serve, connect, hook, status):
    elsewhere = serve(read_request)
    location = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n"
    server = serve(says(http(b"", f"{status} Elsewhere", location)))
    connect(hook.default_conn_name, PLAIN, port=server.port, login="101")
    with pytest.raises(CCSignInUnavailable, match=rf"HTTP {status}: a redirect.*host, port and schema"):
        hook().sessions.sign_in()
    assert (server.connections, elsewhere.connections) == (1, 0)


# ~/.netrc


@EVERY_CLIENT
@EVERY_SYSTEM
@pytest.mark.parametrize("where", ["HOME", "NETRC"])
def test_a_netrc_file_changes_no_request(start, ask, system, where, tmp_path, monkeypatch):
    cc = start(record=True)
    hook, call, _, _ = SYSTEMS[system]
    ask(hook(), call())
    without = [headers_of(request) for request in cc.stats.recorded]
    cc.stats.reset()
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login mallory password wrong\n")
    (tmp_path / ".netrc").chmod(0o600)
    if where == "NETRC":
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    ask(hook(), call())
    assert [headers_of(request) for request in cc.stats.recorded] == without


def headers_of(request):
    """Headers by name; of what each sign-in makes again only that it is there."""
    fresh = ("Authorization", "Authentication", "Guid")
    return {
        name: value.partition(" ")[0] if name in fresh and " " in value else name in fresh or value
        for name, value in request.headers.items()
    }


# Plain http


@EVERY_CLIENT
@pytest.mark.parametrize("schema", ["https", "", None])
def test_nothing_goes_out_in_the_clear_unless_schema_says_http(serve, connect, ask, schema):
    seen = []

    def watch(connection):
        seen.append(connection.recv(65536))

    connect("cc_management_default", PLAIN, port=serve(watch).port, schema=schema, extra={"verify": False})
    with pytest.raises(CCError):
        ask(CCManagementHook(), info())
    assert seen
    assert [data for data in seen if not data.startswith(b"\x16\x03")] == []  # a TLS greeting each


@pytest.mark.parametrize("schema", ["http", "HTTP "])
def test_schema_http_does(start, connect, schema):
    cc = start(tls=False)
    connect("cc_management_default", cc.connections()["cc_management_default"], schema=schema)
    assert CCManagementHook().send(info()).agent_id == 10001


@EVERY_CLIENT
@pytest.mark.parametrize(
    "url",
    [
        *("http://tokens.example/t", "http://10.0.0.1:8080/t", "http://127.0.0.1.example/t"),
        *(
            "http://localhost@tokens.example/t",
            "http://[::1",
            "HTTP://tokens.example/t",
            "//tokens.example/t",
        ),
        *("tokens.example/t", "@tokens.example/t", "ftp://tokens.example/t", "file:///etc/hosts"),
    ],
)
def test_no_address_for_tokens_takes_the_secret_elsewhere_in_the_clear(cc, reconnect, ask, url, logged):
    reconnect("cc_management_default", extra={"token_url": url})
    with pytest.raises(CCError) as failure:
        ask(CCManagementHook(), info())
    if url.startswith("//"):  # a path of the center's own, and none that it knows
        assert failure.value.code == "HTTP 404"
        return
    assert type(failure.value) is CCConfigError
    assert "extra token_url must be a path that begins with / or an https URL" in str(failure.value)
    assert cc.stats.requests() == 0


def test_tokens_may_come_over_http_from_this_machine(start, connect):
    tokens, cc = start(tls=False), start()
    url = f"{tokens.url}/apigovernance/api/oauth/tokenByAkSk"
    connect("cc_management_default", cc.connections()["cc_management_default"], extra={"token_url": url})
    assert CCManagementHook().sessions.sign_in().session.token
    assert (tokens.stats.sign_ins(), cc.stats.requests()) == (1, 0)


# Proxies


@pytest.fixture
def through(serve, monkeypatch):
    """Put a proxy into the environment; give the requests that it gets."""

    def through(name, credentials=""):
        seen = []
        relay = proxy([])

        def handle(client):
            seen.append(client.recv(65536, 2))  # MSG_PEEK: the relay reads it again
            relay(client)

        monkeypatch.setenv(name, f"http://{credentials}127.0.0.1:{serve(handle).port}")
        return seen

    return through


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("name", "tls"), [("HTTPS_PROXY", True), ("HTTP_PROXY", False), ("http_proxy", False)]
)
@pytest.mark.parametrize(
    ("written", "meant"),
    [("user:Pr0xy-pw@", "user:Pr0xy-pw"), ("us%40er:Pr0xy-p%40ss%2Fw%C3%B6rd%3A1@", f"us@er:{CANARY}")],
)
def test_a_proxy_gets_its_own_credential_from_both_clients_alike(
    start, through, ask, logged, name, tls, written, meant
):
    cc = start(tls=tls, record=True)
    seen = through(name, written)
    assert ask(CCManagementHook(), info()).agent_id == 10001
    assert {authorization(request) for request in seen} == {meant}
    assert {request.split(b" ")[0] for request in seen} == ({b"CONNECT"} if tls else {b"POST"})
    for request in seen if tls else ():
        assert cc.settings.app_secret.encode() not in request
    # It is the proxy's alone, and nobody says it.
    assert not [asked for asked in cc.stats.recorded if tls and "Proxy-Authorization" in asked.headers]
    said = logged.text()
    assert "Pr0xy" not in said
    assert base64.b64encode(meant.encode("latin-1")).decode() not in said


@pytest.mark.parametrize("ask", [by_requests, by_aiohttp])  # not one of them after the other
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "address", ["socks5://u:Pr0xy-pw@127.0.0.1:1", "ftp://u:Pr0xy-pw@127.0.0.1:1", "http://"]
)
async def test_a_proxy_that_no_client_can_use_is_refused_by_both_alike(
    cc, ask, monkeypatch, logged, name, address
):
    monkeypatch.setenv(name, address)
    with pytest.raises(
        CCConfigError, match=r"the proxy \(HTTPS_PROXY, HTTP_PROXY or ALL_PROXY\) must be an http or https"
    ) as refusal:
        await ask(CCManagementHook().settings)
    assert cc.stats.requests() == 0
    assert "Pr0xy" not in f"{refusal.value!r} {logged.text()}"


@EVERY_CLIENT
@pytest.mark.parametrize("reply", ["407 Who", "403 No", "502 Down"])
def test_what_a_proxy_says_when_it_refuses_is_not_taken_for_the_centers_word(
    cc, management, ask, serve, monkeypatch, reply, logged
):
    refusing = serve(says(http(b"Pr0xy-canary", reply, "X-Said: Pr0xy-canary\r\n")))
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:Pr0xy-pw@127.0.0.1:{refusing.port}")
    with pytest.raises(
        CCError, match=r"connect: the proxy \(HTTPS_PROXY, HTTP_PROXY or ALL_PROXY\) did not connect"
    ) as failure:
        ask(management, info())
    assert failure.value.code == "connect"
    assert "Pr0xy" not in f"{failure.value!r} {logged.text()}"


@pytest.mark.parametrize("ask", [by_requests, by_aiohttp])
async def test_a_tunnel_does_not_change_who_must_be_trusted(cc, reconnect, ask, through):
    reconnect("cc_management_default", extra={"verify": True})
    seen = through("HTTPS_PROXY")
    with pytest.raises(CCConfigError, match=r"not trusted.*extra verify"):
        await ask(CCManagementHook().settings)
    assert seen
    assert cc.stats.requests() == 0
