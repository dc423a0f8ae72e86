"""Sessions are shared, credentials blocked, and Variables are unavailable or hold invalid text."""

from __future__ import annotations

import contextlib

import pytest

from airflow_provider_cc.compat import get_variable
from airflow_provider_cc.exceptions import CCAuthError
from airflow_provider_cc.hooks import lockout, session
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import info
from tests.transfers.meddling import connect
from tests.transfers.test_faults import assert_all_there, everybody

TOKEN = "cc_token__cc_management_default"
GARBAGE = ["{}", "gAAAAABm" + "A" * 200, "0" * 100_000, "\N{SKULL}\n\x1b[1m"]


@pytest.fixture
def center(make_center, monkeypatch):
    """A contact center whose connection shares its session."""
    center = make_center(200)
    connect(monkeypatch, center, max_concurrency=8, share_session=True)
    return center


def test_a_run_without_variables_asks_for_few_and_loses_nothing(
    center, sqlite_database, sqlite_sync, do_at_chunk, variables, monkeypatch, logged
):
    """Each look costs a task of Airflow 3 up to a minute and more, when the API server does not answer."""
    looks = []
    for module in (lockout, session):
        monkeypatch.setattr(module, "get_variable", lambda name: looks.append(name) or get_variable(name))
    do_at_chunk(3, center.expire_sessions)
    with variables.away():
        counts = sqlite_sync(**everybody(center))
    assert_all_there(center, sqlite_database, counts)
    assert counts["sign_ins"] == 2
    # Before each sign-in: whether another task shares a session, and whether the credential is blocked.
    assert [name.split("__")[0] for name in looks] == ["cc_token", "cc_blocked", "cc_token", "cc_blocked"]
    assert logged.times("cannot be written") == 2


@pytest.mark.parametrize("back", [False, True], ids=["they go", "they come back"])
def test_variables_that_come_and_go_in_mid_run(
    center, sqlite_database, sqlite_sync, do_at_chunk, variables, back
):
    with contextlib.ExitStack() as away:
        if back:
            away.enter_context(variables.away())
            do_at_chunk(2, away.close)
        else:
            do_at_chunk(2, lambda: away.enter_context(variables.away()))
        counts = sqlite_sync(**everybody(center))
    assert_all_there(center, sqlite_database, counts)
    assert counts["sign_ins"] == 1


@pytest.mark.parametrize("garbage", GARBAGE, ids=["JSON", "sealed", "long", "control characters"])
def test_garbage_in_every_variable_at_once(
    center, monkeypatch, sqlite_database, sqlite_sync, variables, garbage
):
    CCManagementHook().send(info())
    right, center.settings.app_secret = center.settings.app_secret, "another"
    variables.delete(TOKEN)
    with pytest.raises(CCAuthError):
        CCManagementHook().send(info())
    center.settings.app_secret = right
    (mark,) = variables.all("cc_blocked__")
    for name in (TOKEN, mark, lockout.KEY_VARIABLE):
        variables[name] = garbage

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert counts["sign_ins"] == 1
    assert variables[TOKEN] != garbage


def test_a_refused_sign_in_without_variables_is_one_clear_error(center, sqlite_sync, variables):
    center.settings.app_secret = "another"
    center.stats.reset()
    with variables.away(), pytest.raises(CCAuthError, match="tokenByAkSk"):
        sqlite_sync(**everybody(center))
    assert center.stats.requests() == 1
