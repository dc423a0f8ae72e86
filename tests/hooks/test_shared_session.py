"""A session that other tasks find in an Airflow Variable, of which nobody else can make anything."""

from __future__ import annotations

import time

import pytest

from airflow_provider_cc.hooks import session
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import EVERY_SYSTEM, INFO, SYSTEMS, TASKS, at_once, info

VARIABLE = "cc_token__cc_management_default"


@pytest.fixture
def shared(cc, reconnect):
    """A contact center all of whose connections share their session."""
    for system in SYSTEMS:
        reconnect(f"cc_{system}_default", extra={"share_session": True})
    return cc


@EVERY_SYSTEM
def test_a_second_hook_reads_the_session_that_nobody_else_can_read(shared, variables, system):
    hook, call, _, sign_in = SYSTEMS[system]
    for _ in range(3):
        hook().send(call())
    assert shared.stats.requests(sign_in) == 1
    ((name, stored),) = variables.all().items()
    assert name == f"cc_token__cc_{system}_default"
    assert stored.startswith("gAAAA")
    assert not [secret for secret in shared.secrets() if secret in stored]
    assert len(shared.secrets()) > 5


def test_a_bulk_run_uses_it_too(shared):
    at_once(CCManagementHook(), [info()] * 20)
    at_once(CCManagementHook(), [info()] * 20)
    assert shared.stats.sign_ins() == 1


def test_a_shared_session_that_has_lapsed_is_mended_and_shared_again(shared):
    CCManagementHook().send(info())
    shared.expire_sessions()
    CCManagementHook().send(info())
    CCManagementHook().send(info())
    assert (shared.stats.sign_ins(), shared.stats.statuses[401]) == (2, 1)


def test_a_shared_session_that_is_refused_for_ever_costs_one_sign_in(shared):
    CCManagementHook().send(info())
    shared.faults.errors, shared.faults.only = {401: 1.0}, {INFO}
    shared.stats.reset()
    hook = CCManagementHook()
    for _ in range(3):
        with pytest.raises(Exception, match="HTTP 401"):
            hook.send(info())
    assert shared.stats.sign_ins() == 1


def test_garbage_in_the_variable_is_overwritten(shared, variables):
    cipher = CCManagementHook().sessions._store._cipher
    sealed = [cipher.encrypt(content).decode() for content in (b"", b"[]", b"{}", b'{"token":5}', b"\xff")]
    plain = ["", "garbage", "gAAAAAB", "{}", "ä", "gAAAAABm" + "A" * 200, "7"]
    for sign_ins, garbage in enumerate([*plain, *sealed], start=1):
        variables[VARIABLE] = garbage
        CCManagementHook().send(info())
        CCManagementHook().send(info())
        assert (garbage, shared.stats.sign_ins()) == (garbage, sign_ins)


def test_what_changes_in_the_connection_makes_the_session_unreadable(
    shared, start, connect, reconnect, variables
):
    CCManagementHook().send(info())
    for sign_ins, name in enumerate(("app_secret", "app_key"), start=2):
        setattr(shared.settings, name, "another")
        reconnect("cc_management_default", extra={"share_session": True})
        before = variables[VARIABLE]
        CCManagementHook().send(info())
        assert (name, shared.stats.sign_ins(), shared.stats.statuses[401]) == (name, sign_ins, 0)
        assert variables[VARIABLE] != before

    other = start(app_secret="another", app_key="another")  # at another port
    connect(
        "cc_management_default", other.connections()["cc_management_default"], extra={"share_session": True}
    )
    CCManagementHook().send(info())
    assert (other.stats.sign_ins(), other.stats.statuses[401]) == (1, 0)


def test_a_session_of_another_connection_cannot_be_read(shared, connect, variables):
    CCManagementHook().send(info())
    connection = shared.connections()["cc_management_default"]
    connect("other", connection, extra={"share_session": True})
    variables["cc_token__other"] = variables[VARIABLE]
    CCManagementHook("other").send(info())
    assert shared.stats.sign_ins() == 2


@pytest.mark.parametrize(
    ("lifetime", "age", "sign_ins"),
    [(3600, 3535, 1), (3600, 3545, 2), (100, 85, 1), (100, 95, 2)],
)
def test_a_session_near_its_end_is_not_taken(shared, monkeypatch, lifetime, age, sign_ins):
    shared.settings.token_lifetime = lifetime
    CCManagementHook().send(info())
    now = time.time()
    monkeypatch.setattr(session.time, "time", lambda: now + age)
    CCManagementHook().send(info())
    assert shared.stats.sign_ins() == sign_ins


def test_a_session_in_the_middle_of_its_life_is_taken_and_renewed_in_time(shared, monkeypatch, clock):
    CCManagementHook().send(info())
    now = time.time()
    monkeypatch.setattr(session.time, "time", lambda: now + 3000 + clock.ahead)
    hook = CCManagementHook()
    hook.send(info())
    clock.ahead = 500
    hook.send(info())
    assert shared.stats.sign_ins() == 1
    clock.ahead = 545
    hook.send(info())
    assert shared.stats.sign_ins() == 2


def test_a_refreshed_pair_is_shared(shared, clock):
    CCISalesHook().call(TASKS)
    hook = CCISalesHook()
    hook.call(TASKS)
    clock.ahead = 280
    hook.call(TASKS)
    clock.ahead = 0
    CCISalesHook().call(TASKS)
    assert (shared.stats.requests("auth/login"), shared.stats.requests("auth/refresh")) == (1, 1)


def test_variables_that_are_away_do_not_stop_a_task(shared, variables, logged):
    with variables.away():
        CCManagementHook().send(info())
    assert shared.stats.sign_ins() == 1
    assert f"Variable {VARIABLE} cannot be written (OperationalError)" in logged.text()


def test_a_refused_sign_in_stores_nothing(shared, variables):
    shared.faults.refuse_sign_ins = {"management"}
    with pytest.raises(Exception, match="HTTP 403"):
        CCManagementHook().send(info())
    assert variables.all("cc_token__") == {}


def test_test_connection_neither_reads_nor_writes_the_variable(shared, variables):
    CCManagementHook().send(info())
    stored = variables.all()
    assert CCManagementHook().test_connection()[0] is True
    assert (shared.stats.sign_ins(), variables.all()) == (2, stored)
