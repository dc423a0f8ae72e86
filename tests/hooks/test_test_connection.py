"""The button "Test": signs in, says in a sentence how that went, and never raises."""

from __future__ import annotations

import pytest

from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import PLAIN, http, says, unused_port

HOOKS = [CCManagementHook, CCGatewayHook, CCISalesHook]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_right_connection(cc, hook):
    hook = hook()
    hook.sessions.sign_in()
    # It signs in, although a session is at hand.
    assert hook.test_connection() == (True, f"Signed in to {hook.hook_name} at {cc.url}.")
    assert cc.stats.sign_ins() == 2


@pytest.mark.parametrize("hook", HOOKS)
def test_a_wrong_password(cc, reconnect, hook):
    reconnect(hook.default_conn_name, password="wrong-password")
    ok, message = hook().test_connection()
    assert ok is False
    assert "wrong-password" not in message
    assert message.split(":")[0] in ("tokenByAkSk", "config/login", "auth/login")
    assert cc.stats.requests() == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "", "login": "", "password": ""}, ["host (", "login (", "password ("]),
        ({"extra": {"timeout": "soon"}}, ["extra timeout must be a number of seconds above 0"]),
        ({"extra": {"verify": True}}, ["extra verify"]),
    ],
    ids=["fields", "extra", "certificate"],
)
def test_what_is_wrong_with_a_connection_is_said(cc, reconnect, changes, words):
    reconnect("cc_management_default", **changes)
    ok, message = CCManagementHook().test_connection()
    assert ok is False
    assert [word for word in words if word not in message] == []


def test_an_address_where_nobody_listens(cc, reconnect):
    with unused_port() as port:
        reconnect("cc_management_default", port=port)
        ok, message = CCManagementHook().test_connection()
    assert ok is False
    assert f"127.0.0.1:{port} refused the connection" in message


@pytest.mark.parametrize("hook", [*HOOKS, CCAgentHook])
def test_a_connection_that_does_not_exist(hook):
    ok, message = hook("no_such_connection").test_connection()
    assert ok is False
    assert "no_such_connection" in message


@pytest.mark.parametrize(
    "reply", [http(b"<html>"), http(b"", "302 Elsewhere"), http(b"", "500 No"), b"SSH\r\n\r\n"]
)
def test_a_server_that_is_no_contact_center(serve, connect, reply):
    connect("cc_management_default", PLAIN, port=serve(says(reply)).port)
    ok, message = CCManagementHook().test_connection()
    assert ok is False
    assert message
    assert "the-secret" not in message


def test_whatever_else_goes_wrong(cc, management, monkeypatch):
    monkeypatch.setattr(CCManagementHook, "_sign_in_call", lambda self: 1 / 0)
    text = "Connection 'cc_management_default' cannot be tested: ZeroDivisionError"
    assert management.test_connection() == (False, text)


def test_it_can_be_pressed_again_after_a_refusal_and_with_another_password_signs_in(cc, reconnect):
    reconnect("cc_management_default", password="wrong")
    for said in ("HTTP 403", "blocked", "blocked"):
        ok, message = CCManagementHook().test_connection()
        assert ok is False
        assert said in message
    reconnect("cc_management_default")
    assert CCManagementHook().test_connection()[0] is True
    assert cc.stats.requests() == 2


def test_an_agents_connection_is_only_read(cc):
    ok, message = CCAgentHook().test_connection()
    assert ok is True
    assert "Not signed in" in message
    assert cc.stats.requests() == 0


@pytest.mark.parametrize(
    ("changes", "ok", "words"),
    [
        ({"login": ""}, False, "needs login"),
        ({"password": ""}, True, "also need password"),
        ({"extra": {"phone_number": ""}}, True, "also need phone_number"),
    ],
)
def test_what_an_agents_connection_lacks_is_said(cc, reconnect, changes, ok, words):
    reconnect("cc_agent_default", **changes)
    assert CCAgentHook().test_connection()[0] is ok
    assert words in CCAgentHook().test_connection()[1]
