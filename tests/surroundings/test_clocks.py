"""Clocks that are set forward or back while a run is under way."""

from __future__ import annotations

import email.utils
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from airflow_provider_cc.api.protocol import retry_after
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import CLIENTS, TASKS, info
from tests.transfers.meddling import connect as connect_center
from tests.transfers.test_faults import assert_all_there, everybody

YEAR = 365 * 86400.0
JUMPS = pytest.mark.parametrize("jump", [YEAR, -YEAR])


@JUMPS
@pytest.mark.parametrize("shared", [True, False])
def test_a_jump_in_mid_run_changes_nothing(
    make_center, sqlite_database, sqlite_sync, do_at_chunk, monkeypatch, variables, wall, jump, shared
):
    center = make_center(200)
    connect_center(monkeypatch, center, max_concurrency=8, share_session=shared)

    def set_clock():
        wall.ahead = jump

    do_at_chunk(2, set_clock)
    counts = sqlite_sync(**everybody(center))
    assert_all_there(center, sqlite_database, counts)
    assert counts["sign_ins"] == 1  # how long a session lives is measured on the monotonic clock
    assert 0 <= counts["seconds"] < 60


@JUMPS
@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_a_shared_session_that_the_clock_has_overtaken_costs_a_sign_in_at_most(
    start, connect, ask, wall, jump
):
    cc = start(token_lifetime=600)
    connect("cc_management_default", cc.connections()["cc_management_default"], extra={"share_session": True})
    CCManagementHook().send(info())
    wall.ahead = jump
    ask(CCManagementHook(), info())
    assert cc.stats.sign_ins() == (2 if jump > 0 else 1)
    # By the clock that was set back it would live for a year: the contact center says when it is over.
    cc.expire_sessions()
    ask(CCManagementHook(), info())
    assert cc.stats.sign_ins() <= 3


@JUMPS
def test_a_refreshable_session_survives_a_jump(start, connect, wall, clock, jump):
    cc = start()
    connect("cc_isales_default", cc.connections()["cc_isales_default"], extra={"share_session": True})
    hook = CCISalesHook()
    hook.call(TASKS)
    wall.ahead = jump
    clock.ahead = 280.0
    hook.call(TASKS)
    CCISalesHook().call(TASKS)
    assert cc.stats.requests("auth/login") == 1
    assert cc.stats.requests("auth/refresh") == 1


@JUMPS
def test_a_retry_after_with_a_date_never_means_a_long_wait(wall, jump):
    now = email.utils.format_datetime(datetime.now(UTC), usegmt=True)
    wall.ahead = jump
    asked = retry_after(now)
    assert asked is not None
    assert asked >= 0
    error = transport.CCTransientError("endpoint", "HTTP 429", "later", retry_after=asked)
    assert 0 <= transport.pause(error, 1) <= transport.MAX_WAIT + 1


@pytest.fixture
def database_clock():
    """Set the clock of every SQLite database that is opened from now on."""
    ahead = timedelta()

    def shown(form, moment):
        assert (form, moment) == ("%Y-%m-%d %H:%M:%f", "now")
        return (datetime.now(UTC) + ahead).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def give(connection, record):
        if isinstance(connection, sqlite3.Connection):
            connection.create_function("strftime", 2, shown)

    def set_clock(change):
        nonlocal ahead
        ahead = change

    sa.event.listen(sa.engine.Engine, "connect", give)
    yield set_clock
    sa.event.remove(sa.engine.Engine, "connect", give)


@pytest.mark.parametrize("jump", [timedelta(days=365), timedelta(days=-365)])
def test_versions_stay_in_order_when_the_databases_clock_jumps(
    make_center, sqlite_database, sqlite_sync, do_at_chunk, database_clock, jump
):
    center = make_center(120)
    accounts = list(center.accounts())
    run = {"softphones": "none", "history_table": "cc_agent_history", "chunk_size": 50, "accounts": accounts}
    do_at_chunk(2, lambda: database_clock(jump))
    for turn in range(3):
        center.change_agent(accounts[0], agent_id=900_001 + turn)
        counts = sqlite_sync(**run)
        assert counts["synced"] == len(accounts)
    ends = [
        end for (end,) in sqlite_database.query("SELECT finished_at FROM cc_sync_run ORDER BY finished_at")
    ]
    assert len(set(ends)) == 3
    versions = sqlite_database.query(
        "SELECT agent_id, valid_from, valid_to FROM cc_agent_history"
        f" WHERE account = '{accounts[0]}' ORDER BY agent_id"
    )
    assert [agent_id for agent_id, _, _ in versions] == [900_001, 900_002, 900_003]
    begun = [begun for _, begun, _ in versions]
    assert [ended for _, _, ended in versions] == [*begun[1:], None]
    assert begun[0] < ends[0] < begun[1] < ends[1] < begun[2] < ends[2]
