"""A request that carries a password is sent once, whatever comes back; again only if nothing was sent."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cc.api import gateway, management
from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.hooks.transport import BlockingClient
from tests.hooks.support import CLIENTS, PLAIN, http, read_request, reset, says, unused_port

SECRET = "canary-password"


def sign_in(hook, client):
    hook.sessions.sign_in()


def login_params(hook, client):
    CLIENTS[client](hook, management.query_agent_login_params("agent", SECRET))


def agent_sign_in(hook, client):
    with hook.agent_session(10001, SECRET, "88880001"):
        raise AssertionError("signed in")


def as_user(hook, client):
    hook.query_agent_info("agent", username="user", password=SECRET)


#: Each request with a password: hook, what sends it, and its clients.
REQUESTS = {
    "tokenByAkSk": (CCManagementHook, sign_in, ["requests"]),
    "config/login": (CCGatewayHook, sign_in, ["requests"]),
    "auth/login": (CCISalesHook, sign_in, ["requests"]),
    "queryAgentLoginParams": (CCManagementHook, login_params, list(CLIENTS)),
    "onlineagent": (CCGatewayHook, agent_sign_in, ["requests"]),
    "as a user": (CCManagementHook, as_user, ["requests"]),
}
EVERY_REQUEST = pytest.mark.parametrize(
    ("request_name", "client"),
    [(name, client) for name, (_, _, clients) in REQUESTS.items() for client in clients],
)


def cut_off(connection):
    read_request(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"returnCode"')


def resets(connection):
    read_request(connection)
    reset(connection)


def silent(connection):
    read_request(connection)
    read_request(connection)  # until the client gives up


FATES = {
    **{f"HTTP {status}": says(http(b"", f"{status} X")) for status in (408, 418, 429, 500, 502, 503, 504)},
    "busy retcode": says(http(b'{"retcode":"000-004","returnCode":"1","result":"1"}')),
    "reset": resets,
    "cut off": cut_off,
    "closed": lambda connection: read_request(connection),
    "silent": silent,
    "not HTTP": says(b"hello\r\n\r\n"),
}


def make(connect, port, request_name, client):
    hook, send, _ = REQUESTS[request_name]
    connect(
        hook.default_conn_name,
        {**PLAIN, "conn_type": hook.conn_type, "login": "101", "password": SECRET},
        port=port,
        extra={"timeout": 1},
    )
    send(hook(), client)


@EVERY_REQUEST
@pytest.mark.parametrize("fate", FATES)
def test_it_is_sent_once(serve, connect, request_name, client, fate):
    sent = []

    def handle(connection):
        # The session that the call needs is had for the asking.
        first = connection.recv(65536)
        if b"tokenByAkSk" in first and request_name != "tokenByAkSk":
            body = json.dumps({"AccessToken": "token"}).encode()
            connection.sendall(http(body, headers="Connection: close\r\n"))
            return
        sent.append(first)
        FATES[fate](_Read(first, connection))

    server = serve(handle)
    with pytest.raises(CCError) as failure:
        make(connect, server.port, request_name, client)
    assert len(sent) == 1
    assert SECRET not in str(failure.value)


class _Read:
    """A connection of which the first bytes have been read already."""

    def __init__(self, first, connection):
        self._first, self._connection = first, connection

    def recv(self, size):
        first, self._first = self._first, b""
        return first or self._connection.recv(size)

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.mark.parametrize("request_name", ["tokenByAkSk", "config/login", "auth/login", "as a user"])
def test_a_refused_connection_is_tried_twice_at_most(connect, monkeypatch, request_name):
    sent = []
    with unused_port() as port:
        monkeypatch.setattr(BlockingClient, "send", _counting(sent, BlockingClient.send))
        with pytest.raises(CCError, match="connect"):
            make(connect, port, request_name, "requests")
    assert len(sent) == 2


def _counting(sent, send):
    return lambda self, request: [sent.append(request.name), send(self, request)][1]


def test_an_agent_is_signed_in_busy():
    body = json.loads(gateway.agent_sign_in(10001, "", "88880001").body or b"")
    assert (body["status"], body["password"]) == (3, "")
