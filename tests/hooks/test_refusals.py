"""A credential that is refused is sent once, and a sign-in that gets no answer is not hammered."""

from __future__ import annotations

import pytest

from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCConfigError,
    CCError,
    CCSignInUnavailable,
)
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import (
    CLIENTS,
    INFO,
    PLAIN,
    SYSTEMS,
    TOKEN,
    at_once,
    in_threads,
    info,
    one_in_bulk,
    unused_port,
)

EVERY_WAY = pytest.mark.parametrize("make", [in_threads, at_once])


def in_64_threads(hook, calls):
    return in_threads(hook, calls, 64)


def kinds(results):
    return {type(result) for result in results}


@pytest.mark.parametrize(
    ("system", "make"), [("management", in_64_threads), ("gateway", at_once), ("isales", at_once)]
)
def test_a_wrong_password_is_sent_once_however_many_call_and_however_often(cc, reconnect, system, make):
    reconnect(f"cc_{system}_default", password="wrong")
    new_hook, call, endpoint, sign_in = SYSTEMS[system]
    hook = new_hook()
    for _ in range(2):
        results = make(hook, [call() for _ in range(64)])
        assert kinds(results) == {CCAuthError}
        assert "blocked" not in {result.code for result in results}
    with pytest.raises(CCAuthError):
        hook.sessions.sign_in()
    assert {result.code for result in make(new_hook(), [call() for _ in range(64)])} == {"blocked"}
    assert (cc.stats.requests(sign_in), cc.stats.requests(endpoint)) == (1, 0)


@EVERY_WAY
def test_a_password_that_was_changed_meanwhile_is_sent_once(cc, management, make):
    management.send(info())
    cc.expire_sessions()
    cc.faults.refuse_sign_ins = {"management"}
    for _ in range(2):
        assert kinds(make(management, [info() for _ in range(20)])) == {CCAuthError}
    assert cc.stats.refused("management") == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_first_403_is_neither_repeated_nor_a_reason_to_sign_in_again(cc, management, client):
    management.sessions.sign_in()
    cc.settings.allow_listed = False
    cc.stats.reset()
    with pytest.raises(CCAuthError, match="HTTP 403"):
        CLIENTS[client](management, info())
    assert cc.stats.requests() == 1


@pytest.mark.parametrize(("status", "make"), [(429, in_threads), (500, at_once), (502, in_threads)])
def test_a_sign_in_that_gets_no_usable_answer_is_not_repeated_for_anyone_who_waits(
    cc, management, make, status
):
    cc.faults.errors, cc.faults.only, cc.faults.latency = {status: 1.0}, {TOKEN}, 1.0
    results = make(management, [info() for _ in range(20 if make is in_threads else 64)])
    assert kinds(results) == {CCSignInUnavailable}
    assert {result.code for result in results} == {f"HTTP {status}"}
    assert cc.stats.requests() == 1


def test_a_renewal_that_gets_no_usable_answer_is_not_repeated_for_anyone_who_waits(cc, management):
    management.send(info())
    cc.expire_sessions()
    cc.faults.errors, cc.faults.only, cc.faults.latency = {502: 1.0}, {TOKEN}, 0.5
    cc.stats.reset()
    assert kinds(at_once(management, [info() for _ in range(64)])) == {CCSignInUnavailable}
    assert cc.stats.requests(TOKEN) == 1


def test_a_later_call_may_sign_in_when_the_sign_in_works_again(cc, management):
    cc.faults.errors, cc.faults.only = {502: 1.0}, {TOKEN}
    with pytest.raises(CCSignInUnavailable):
        management.send(info())
    cc.faults.errors = {}
    management.send(info())
    assert cc.stats.requests(TOKEN) == 2


def test_a_sign_in_that_times_out_is_not_repeated(cc, reconnect):
    reconnect("cc_management_default", extra={"timeout": 0.2})
    cc.faults.latency, cc.faults.only = 0.6, {TOKEN}
    with pytest.raises(CCSignInUnavailable, match="timeout"):
        CCManagementHook().send(info())
    assert cc.stats.requests(TOKEN) == 1


def test_a_refused_connection_is_tried_twice_by_one_of_all_who_wait(connect, monkeypatch):
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 1.0)  # so that all wait while it is tried
    monkeypatch.setattr(transport, "LONGEST_BACK_OFF", 1.0)
    with unused_port() as port:
        connect("cc_management_default", PLAIN, port=port)
        hook = CCManagementHook()
        sent, request = [], hook.client.session.request
        monkeypatch.setattr(
            hook.client.session, "request", lambda *args, **more: [sent.append(1), request(*args, **more)][1]
        )
        results = at_once(hook, [info() for _ in range(64)])
    assert {(type(result), result.code) for result in results} == {(CCSignInUnavailable, "connect")}
    assert len(sent) == 2


def test_an_untrusted_certificate_fails_everyone_who_waits(cc, reconnect):
    reconnect("cc_management_default", extra={"verify": True})
    hook = CCManagementHook()
    assert kinds(at_once(hook, [info() for _ in range(64)])) == {CCConfigError}
    assert hook.sessions.sign_ins == 1


@pytest.mark.parametrize(
    ("hook", "changes", "missing"),
    [
        (CCManagementHook, {"host": "", "login": "", "password": ""}, ["host", "login", "password"]),
        (CCManagementHook, {"login": ""}, ["login (app key)"]),
        (CCManagementHook, {"login": "", "password": ""}, ["login (app key)", "password (app secret)"]),
        (CCGatewayHook, {"host": "", "password": ""}, ["host (Address)", "password"]),
        (CCGatewayHook, {"login": ""}, ["login (administrator ID or VDN account)"]),
        (CCISalesHook, {"host": "", "login": "", "password": ""}, ["host", "login (user)", "password"]),
    ],
)
def test_missing_fields_are_all_named_and_nothing_is_sent(cc, reconnect, hook, changes, missing):
    reconnect(hook.default_conn_name, **changes)
    with pytest.raises(CCConfigError) as refusal:
        hook().sessions.sign_in()
    assert [name for name in missing if name not in str(refusal.value)] == []
    assert [name for name in ("host", "login", "password") if f"{name} (" in str(refusal.value)] == [
        name.split()[0] for name in missing
    ]
    assert cc.stats.requests() == 0


def test_a_call_needs_no_more_than_it_uses(cc, reconnect):
    reconnect("cc_management_default", login="", password="")
    settings = cc.settings
    agent = CCManagementHook().query_agent_info(
        "agent000000", username=settings.user_name, password=settings.user_password
    )
    assert agent.agent_id == 10001


def test_an_agents_session_needs_no_administrator(cc, reconnect):
    reconnect("cc_gateway_default", login="", password="")
    agent = cc.agent("agent000000")
    with CCGatewayHook().agent_session(agent.agent_id, agent.password, "88880001") as seat:
        assert seat.query_login_info().softphone_number == "88880001"


@pytest.mark.parametrize(("login", "must_be"), [("admin", "whole number"), ("0", "at least 1")])
def test_an_administrator_that_is_no_number_is_a_config_error(cc, reconnect, login, must_be):
    reconnect("cc_gateway_default", login=login)
    with pytest.raises(CCConfigError, match=must_be):
        CCGatewayHook().login()
    assert cc.stats.requests() == 0


@pytest.mark.parametrize("key", ["schlüssel", "new\nline"])
def test_an_app_key_that_no_header_can_carry_is_a_config_error(cc, reconnect, key):
    cc.settings.app_key = key
    reconnect("cc_management_default", login=key)
    for ask in (lambda hook: hook.send(info()), lambda hook: one_in_bulk(hook, info())):
        with pytest.raises(CCError, match="not allowed in HTTP headers"):
            ask(CCManagementHook())
    assert cc.stats.requests(INFO) == 0
