"""Where requests go: where the connection says, through the environment's proxy, and nowhere else."""

from __future__ import annotations

import base64

import pytest

from airflow_provider_cc.exceptions import CCConfigError, CCError, CCSignInUnavailable
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import (
    CLIENTS,
    EVERY_CLIENT,
    PLAIN,
    SYSTEMS,
    http,
    info,
    proxy,
    read_request,
    says,
    unused_port,
)
from tests.hooks.test_connection_failures import WITHOUT_SIGN_IN

THE_PROXY = r"the proxy \(HTTPS_PROXY, HTTP_PROXY or ALL_PROXY\)"
CANARY = "Pr0xy-p@ss/wörd:1"


def authorization(request: bytes) -> str | None:
    """The credential that a request brings for a proxy."""
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name.lower() == b"proxy-authorization":
            return base64.b64decode(value.removeprefix(b"Basic ")).decode("latin-1")
    return None


# Redirects


@pytest.mark.parametrize(
    ("hook", "status"),
    [
        *((CCManagementHook, status) for status in (301, 302, 303, 307, 308)),
        (CCGatewayHook, 302),
        (CCISalesHook, 302),
    ],
)
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
@pytest.mark.parametrize(("system", "where"), [("management", "HOME"), ("gateway", "NETRC")])
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


@pytest.mark.parametrize("schema", ["https", "", None])
def test_nothing_goes_out_in_the_clear_unless_schema_says_http(serve, connect, schema):
    seen = []

    def watch(connection):
        seen.append(connection.recv(65536))

    connect("cc_management_default", PLAIN, port=serve(watch).port, schema=schema, extra={"verify": False})
    with pytest.raises(CCError):
        CCManagementHook().send(info())
    assert seen
    assert [data for data in seen if not data.startswith(b"\x16\x03")] == []  # a TLS greeting each


@pytest.mark.parametrize(
    "url",
    [
        *("http://tokens.example/t", "http://10.0.0.1:8080/t", "http://127.0.0.1.example/t"),
        *("http://localhost@tokens.example/t", "http://[::1", "HTTP://tokens.example/t"),
        *("tokens.example/t", "@tokens.example/t", "ftp://tokens.example/t", "file:///etc/hosts"),
    ],
)
def test_no_address_for_tokens_takes_the_secret_elsewhere_in_the_clear(cc, reconnect, url):
    reconnect("cc_management_default", extra={"token_url": url})
    with pytest.raises(
        CCConfigError, match="extra token_url must be a path that begins with / or an https URL"
    ):
        CCManagementHook().send(info())
    assert cc.stats.requests() == 0


def test_two_slashes_begin_a_path_of_the_centers_own(cc, reconnect):
    reconnect("cc_management_default", extra={"token_url": "//tokens.example/t"})
    with pytest.raises(CCError, match="HTTP 404"):
        CCManagementHook().send(info())


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
@pytest.mark.parametrize(("name", "tls"), [("HTTPS_PROXY", True), ("http_proxy", False)])
def test_a_proxy_gets_its_own_credential_from_both_clients_alike(start, through, ask, logged, name, tls):
    cc = start(tls=tls, record=True)
    seen = through(name, "us%40er:Pr0xy-p%40ss%2Fw%C3%B6rd%3A1@")
    assert ask(CCManagementHook(), info()).agent_id == 10001
    meant = f"us@er:{CANARY}"
    assert {authorization(request) for request in seen} == {meant}
    assert {request.split(b" ")[0] for request in seen} == ({b"CONNECT"} if tls else {b"POST"})
    for request in seen if tls else ():
        assert cc.settings.app_secret.encode() not in request
    # It is the proxy's alone, and nobody says it.
    assert not [asked for asked in cc.stats.recorded if tls and "Proxy-Authorization" in asked.headers]
    said = logged.text()
    assert "Pr0xy" not in said
    assert base64.b64encode(meant.encode("latin-1")).decode() not in said


@EVERY_CLIENT
@pytest.mark.parametrize(("name", "scheme"), [("https_proxy", ""), ("ALL_PROXY", "http://")])
def test_the_proxy_of_the_environment_is_used(cc, management, ask, serve, monkeypatch, name, scheme):
    seen = []
    monkeypatch.setenv(name, f"{scheme}127.0.0.1:{serve(proxy(seen)).port}")
    monkeypatch.setenv("NO_PROXY", "example.com,10.0.0.0/8")  # which spares others only
    assert ask(management, info()).agent_id == 10001
    assert {line.split()[1] for line in seen} == {f"127.0.0.1:{cc.port}".encode()}
    assert len(seen) == (1 if ask is CLIENTS["requests"] else 2)


@EVERY_CLIENT
@pytest.mark.parametrize("spared", ["127.0.0.0/8", " 127.0.0.1 , x"])
def test_no_proxy_spares_a_host_in_both_clients_alike(cc, management, ask, monkeypatch, spared):
    with unused_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", spared)
        assert ask(management, info()).agent_id == 10001


@WITHOUT_SIGN_IN
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("HTTPS_PROXY", "socks5://u:Pr0xy-pw@127.0.0.1:1"),
        ("ALL_PROXY", "ftp://u:Pr0xy-pw@127.0.0.1:1"),
        ("HTTPS_PROXY", "http://"),
    ],
)
async def test_a_proxy_that_no_client_can_use_is_refused_by_both_alike(
    cc, ask, monkeypatch, logged, name, address
):
    monkeypatch.setenv(name, address)
    with pytest.raises(CCConfigError, match=rf"{THE_PROXY} must be an http or https") as refusal:
        await ask(CCManagementHook().settings)
    assert cc.stats.requests() == 0
    assert "Pr0xy" not in f"{refusal.value!r} {logged.text()}"


@WITHOUT_SIGN_IN
@pytest.mark.parametrize("reply", ["407 Who", "403 No", "502 Down"])
async def test_what_a_proxy_says_when_it_refuses_is_not_taken_for_the_centers_word(
    cc, management, ask, serve, monkeypatch, reply, logged
):
    refusing = serve(says(http(b"Pr0xy-canary", reply, "X-Said: Pr0xy-canary\r\n")))
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:Pr0xy-pw@127.0.0.1:{refusing.port}")
    with pytest.raises(CCError, match=f"connect: {THE_PROXY} did not connect") as failure:
        await ask(management.settings)
    assert failure.value.code == "connect"
    assert "Pr0xy" not in f"{failure.value!r} {logged.text()}"


@WITHOUT_SIGN_IN
async def test_a_proxy_that_does_not_answer_is_named(management, ask, monkeypatch):
    with unused_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(CCError, match=f"connect: {THE_PROXY} did not connect"):
            await ask(management.settings)


@WITHOUT_SIGN_IN
async def test_a_tunnel_does_not_change_who_must_be_trusted(cc, reconnect, ask, through):
    reconnect("cc_management_default", extra={"verify": True})
    seen = through("HTTPS_PROXY")
    with pytest.raises(CCConfigError, match=r"not trusted.*extra verify"):
        await ask(CCManagementHook().settings)
    assert seen
    assert cc.stats.requests() == 0
