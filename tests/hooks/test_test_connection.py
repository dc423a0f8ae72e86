"""The button "Test": signs in, says in a sentence how that went, and never raises."""

from __future__ import annotations

import pytest

from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import PLAIN, http, says, unused_port

HOOKS = [CCManagementHook, CCGatewayHook, CCISalesHook]
EVERY_HOOK = pytest.mark.parametrize("hook", HOOKS)


@EVERY_HOOK
def test_a_right_connection(cc, hook):
    assert hook().test_connection() == (True, f"Signed in to {hook.hook_name} at {cc.url}.")
    assert cc.stats.sign_ins() == 1


@EVERY_HOOK
@pytest.mark.parametrize("answer", [200, 401, 403])
def test_a_wrong_password(cc, reconnect, hook, answer):
    cc.settings.refused_status = answer
    reconnect(hook.default_conn_name, password="wrong-password")
    ok, message = hook().test_connection()
    assert ok is False
    assert "wrong-password" not in message
    assert message.split(":")[0] in ("tokenByAkSk", "config/login", "auth/login")
    assert cc.stats.requests() == 1


@EVERY_HOOK
def test_an_address_where_nobody_listens(cc, reconnect, hook):
    with unused_port() as port:
        reconnect(hook.default_conn_name, port=port)
        ok, message = hook().test_connection()
    assert ok is False
    assert f"127.0.0.1:{port} refused the connection" in message


@EVERY_HOOK
def test_a_certificate_that_is_not_trusted(cc, reconnect, hook):
    reconnect(hook.default_conn_name, extra={"verify": True})
    ok, message = hook().test_connection()
    assert ok is False
    assert "extra verify" in message


@EVERY_HOOK
def test_fields_that_are_missing(cc, reconnect, hook):
    reconnect(hook.default_conn_name, host="", login="", password="")
    ok, message = hook().test_connection()
    assert ok is False
    assert all(f"{name} (" in message for name in ("host", "login", "password"))


@EVERY_HOOK
def test_extras_that_make_no_sense(cc, reconnect, hook):
    reconnect(hook.default_conn_name, extra={"timeout": "soon"})
    assert hook().test_connection()[1].endswith("extra timeout must be a number of seconds above 0")


@pytest.mark.parametrize("hook", [*HOOKS, CCAgentHook])
def test_a_connection_that_does_not_exist(hook):
    ok, message = hook("no_such_connection").test_connection()
    assert ok is False
    assert "no_such_connection" in message


@EVERY_HOOK
@pytest.mark.parametrize(
    "reply", [http(b"<html>"), http(b"", "302 Elsewhere"), http(b"", "500 No"), b"SSH\r\n\r\n"]
)
def test_a_server_that_is_no_contact_center(serve, connect, hook, reply):
    connect(hook.default_conn_name, PLAIN, login="101", port=serve(says(reply)).port)
    ok, message = hook().test_connection()
    assert ok is False
    assert message
    assert "the-secret" not in message


@EVERY_HOOK
def test_whatever_else_goes_wrong(cc, hook, monkeypatch):
    monkeypatch.setattr(hook, "_sign_in_call", lambda self: 1 / 0)
    ok, message = hook().test_connection()
    assert (ok, message) == (
        False,
        f"Connection '{hook.default_conn_name}' cannot be tested: ZeroDivisionError",
    )


def test_it_signs_in_although_a_session_is_at_hand(cc, management):
    management.sessions.sign_in()
    assert management.test_connection()[0] is True
    assert cc.stats.sign_ins() == 2


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
