"""The seam of the session flow: a session that signs method, path and body, in both clients unchanged."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from airflow_provider_cc.api import management
from airflow_provider_cc.api.protocol import Call, Endpoint, Request, Session
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import CLIENTS, PLAIN, http, info, read_request


def signature(secret: str, method: str, path: str, body: bytes) -> str:
    signed = "\n".join((method, path, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()


class SigningHook(CCManagementHook):
    """Signs each request with access key and secret key, as the vendor's C2 does, and sends no sign-in."""

    def acquire_session(self) -> Session:
        return Session(self.settings.password)

    def sign(self, request: Request, session: Session) -> Request:
        digest = signature(session.token, request.method, request.path, request.body or b"")
        signed = {"Authorization": f"auth-v2/{self.settings.login}/{digest}"}
        return request.signed({**self._headers(None), **signed})


@pytest.fixture
def heard(serve, connect):
    """Give the requests that a center has accepted, which checks their signatures."""
    accepted = []

    def handle(connection):
        while request := read_request(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            method, path, _ = head.decode().split("\r\n")[0].split(" ")
            expected = f"Authorization: auth-v2/key/{signature('the-secret', method, path, body)}"
            if expected not in head.decode():
                connection.sendall(http(b"{}", "401 Unauthorized"))
                continue
            accepted.append((method, path, json.loads(body or b"null")))
            connection.sendall(http(b'{"returnCode":"0","data":{"workNo":7094}}'))

    connect("cc_management_default", PLAIN, port=serve(handle).port)
    return accepted


@pytest.mark.parametrize("client", CLIENTS)
def test_each_request_is_signed_over_method_path_and_body(heard, client):
    hook = SigningHook()
    for account in ("one", "two"):
        assert CLIENTS[client](hook, info(account)).agent_id == 7094
    get = management.any_management_call("GET", "/apiaccess/any?x=1")
    assert CLIENTS[client](hook, get)["returnCode"] == "0"
    path = management.AGENT_INFO.path
    assert heard == [
        ("POST", path, {"accountCode": "one"}),
        ("POST", path, {"accountCode": "two"}),
        ("GET", "/apiaccess/any?x=1", None),
    ]


@pytest.mark.parametrize("client", CLIENTS)
def test_any_call_of_a_system_of_ones_own_is_signed_alike(heard, client):
    endpoint = Endpoint("own", "PUT", "/own", None, ("returnCode",))
    CLIENTS[client](SigningHook(), Call(endpoint, b'{"a":1}', lambda reply, _: reply, "/own"))
    assert heard == [("PUT", "/own", {"a": 1})]
