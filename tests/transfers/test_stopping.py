"""Airflow can stop a sync at any moment: within two seconds, and what is staged stays."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cc.compat import AirflowException
from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import THOROUGH, Database
from tests.transfers.killing import Moment
from tests.transfers.meddling import connect

try:  # from Airflow 3.1 on
    from airflow.sdk.execution_time.timeout import timeout
except ImportError:
    from airflow.utils.timeout import timeout
try:
    from airflow.sdk.exceptions import AirflowTaskTimeout
except ImportError:
    from airflow.exceptions import AirflowTaskTimeout

#: Seconds within which a sync has to end.
AT_MOST = 2.0
INFO = "queryAgentInfoByAccount"
TABLES = ("cc_agent", "cc_agent_history", "cc_agent_reject")
#: When to stop a task: after so many seconds, or when this is true.
When = float | Callable[[], bool]
#: Runs a task in the main thread and stops it, as Airflow does; returns the seconds that it took to end.
Way = Callable[[When, CCAgentsToSqlOperator, Any], float]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    """Give an empty database of those that admit a second connection."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def center(make_center: MakeCenter, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Give a contact center that is asked eight things at a time."""
    center = make_center(200)
    connect(monkeypatch, center, max_concurrency=8)
    return center


def arguments(center: Simulator, **more: Any) -> dict[str, Any]:
    return {
        "accounts": list(center.accounts()),
        "softphones": "none",
        "history_table": "cc_agent_history",
        "chunk_size": 10,
        **more,
    }


def untouched(database: Database) -> dict[str, Any]:
    rows = database.dump()
    return {name: rows[name] for name in TABLES if name in rows}


def staged(database: Database) -> int:
    ((count,),) = database.query("SELECT COUNT(*) FROM cc_agent_stage")
    return int(count)


def by_time_out(when: When, operator: CCAgentsToSqlOperator, context: Any) -> float:
    """Run a task as Airflow does when its ``execution_timeout`` is over."""
    with _Stopper(when, signal.SIGALRM) as stopper, pytest.raises(AirflowTaskTimeout), timeout(300):
        operator.execute(context)
    return stopper.since()


def by_on_kill(when: When, operator: CCAgentsToSqlOperator, context: Any) -> float:
    """Run a task as Airflow 3 does when it gets SIGTERM: its handler raises nothing."""
    with (
        _Stopper(when, signal.SIGTERM, lambda *_: operator.on_kill()) as stopper,
        pytest.raises(CCError, match="Stopped by Airflow; staged answers are kept"),
    ):
        operator.execute(context)
    return stopper.since()


def by_termination(when: When, operator: CCAgentsToSqlOperator, context: Any) -> float:
    """Run a task as Airflow 2 does when it gets SIGTERM: its handler raises."""

    def handler(*_: object) -> None:
        operator.on_kill()
        raise AirflowException("Task received SIGTERM signal")

    with (
        _Stopper(when, signal.SIGTERM, handler) as stopper,
        pytest.raises(AirflowException, match="SIGTERM"),
    ):
        operator.execute(context)
    return stopper.since()


class _Stopper(threading.Thread):
    """Sends this process a signal when the time has come."""

    def __init__(self, when: When, number: int, handler: Callable[..., None] | None = None) -> None:
        super().__init__(daemon=True)
        self._when, self._number, self._handler = when, number, handler
        self._over = threading.Event()
        self._sent_at = float("inf")

    def run(self) -> None:
        if not callable(self._when):
            self._over.wait(self._when)
        else:
            while not self._over.is_set() and not self._has_come(self._when):
                self._over.wait(0.02)
        if not self._over.is_set():
            self._sent_at = time.monotonic()
            os.kill(os.getpid(), self._number)

    def _has_come(self, when: Callable[[], bool]) -> bool:
        with suppress(sa.exc.SQLAlchemyError):  # its table is not there yet, or locked
            return when()
        return False

    def since(self) -> float:
        """Return the seconds since the signal."""
        return time.monotonic() - self._sent_at

    def __enter__(self) -> _Stopper:
        self._before = signal.signal(self._number, self._handler or signal.SIG_IGN)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(self._number, signal.SIG_IGN)  # too late
        self._over.set()
        self.join()
        signal.signal(self._number, self._before)


WAYS = [by_time_out, by_on_kill, by_termination]
#: Each way and each database, not each with each: how a task is stopped is not the database's concern.
WAYS_AND_DATABASES = pytest.mark.parametrize(
    ("database", "way"),
    itertools.product(("sqlite", "postgres", "mariadb"), WAYS)
    if THOROUGH
    else [*(("postgres", way) for way in WAYS), ("sqlite", by_time_out), ("mariadb", by_on_kill)],
    indirect=["database"],
)


def stop(way: Way, when: When, run_id: str = "daily", **arguments: Any) -> float:
    """Stop a sync after some seconds, or when something has happened; return how long it took to end."""
    operator = CCAgentsToSqlOperator(task_id="sync", sql_conn_id="warehouse", **arguments)
    return way(when, operator, {"ti": SimpleNamespace(run_id=run_id, map_index=-1)})


@WAYS_AND_DATABASES
def test_it_ends_at_random_moments(center: Simulator, database: Database, sync: Sync, way: Way) -> None:
    """Many that are stopped, for each way and database, none of which has anything left from another."""
    chance = random.Random(way.__name__ + database.kind)  # noqa: S311 - to be repeated
    center.faults.latency = 0.02
    run = arguments(center)
    seconds = sync(**run)["seconds"]
    stopped = number = kept = 0

    while stopped < (30 if THOROUGH else 5) or not kept:
        number += 1
        for account in run["accounts"]:
            center.change_agent(account, agent_type=number)  # everybody changes in every attempt
        before, begun = untouched(database), time.monotonic()
        try:
            late = stop(way, chance.uniform(0.0, seconds), f"attempt_{number}", **run)
        except pytest.fail.Exception:  # it was done by then
            seconds = min(seconds, time.monotonic() - begun)
            continue
        stopped += 1

        assert late < AT_MOST
        ended = "SELECT 1 FROM cc_sync_run WHERE run_id = :run_id AND finished_at IS NOT NULL"
        if not database.query(ended, run_id=f"attempt_{number}"):  # else between its commit and its answer
            assert untouched(database) == before
        assert staged(database) >= kept
        kept = staged(database)

    assert number < 2 * stopped + 10


@WAYS_AND_DATABASES
def test_what_is_staged_stays(center: Simulator, database: Database, sync: Sync, way: Way) -> None:
    center.faults.latency = 0.3
    assert stop(way, lambda: staged(database) >= 10, **arguments(center)) < AT_MOST
    kept, asked = staged(database), center.stats.requests(INFO)
    assert 10 <= kept <= asked <= kept + 2 * 10 + 8
    center.faults.latency = 0.0

    counts = sync(**arguments(center), run_id="daily")

    assert (counts["resumed"], counts["synced"], counts["added"]) == (kept, 200, 200)
    assert center.stats.requests(INFO) == asked + 200 - kept


def test_the_ledger_says_that_it_was_stopped(center: Simulator, database: Database, sync: Sync) -> None:
    center.faults.latency = 0.1
    stop(by_on_kill, lambda: staged(database) >= 10, **arguments(center))

    assert database.query("SELECT error, finished_at FROM cc_sync_run") == [
        ("Stopped by Airflow; staged answers are kept", None)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_slow_replies_do_not_hold_it_up(center: Simulator, sqlite_sync: Sync, way: Way) -> None:
    center.faults.latency, center.faults.only = 25.0, {INFO}

    assert stop(way, lambda: center.stats.requests(INFO) > 0, **arguments(center)) < AT_MOST


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_sign_in_does_not_hold_it_up(center: Simulator, sqlite_sync: Sync, way: Way) -> None:
    center.faults.latency = 25.0

    assert stop(way, lambda: center.stats.requests() > 0, **arguments(center)) < AT_MOST


# While another connection holds what the sync needs


@dataclass
class Somebody:
    """Has a transaction open in PostgreSQL."""

    connection: sa.engine.Connection

    def lock(self, what: str) -> None:
        self.connection.execute(sa.text(f"LOCK TABLE {what}"))

    def go(self) -> None:
        self.connection.rollback()


@pytest.fixture
def somebody(postgres_database: Database) -> Iterator[Somebody]:
    engine = sa.create_engine(postgres_database.url, poolclass=sa.pool.NullPool)
    with closing(engine.connect()) as connection:
        yield Somebody(connection)


AT_ONCE, AT_A_CHUNK = None, Moment("before", 2)
LOCKS = {
    "when it looks at its tables": (AT_ONCE, "cc_agent IN ACCESS EXCLUSIVE MODE"),
    "when it enters its run": (AT_ONCE, "cc_sync_run IN EXCLUSIVE MODE"),
    "when it stages": (AT_A_CHUNK, "cc_agent_stage IN EXCLUSIVE MODE"),
    "when it changes the agents": (AT_ONCE, "cc_agent IN EXCLUSIVE MODE"),
    "when it changes the history": (AT_ONCE, "cc_agent_history IN EXCLUSIVE MODE"),
}


@pytest.mark.parametrize(
    ("when", "way"),
    [*((when, by_time_out) for when in LOCKS), *(("when it stages", way) for way in WAYS[1:])],
)
def test_a_table_that_somebody_has_locked_does_not_hold_it_up(
    center: Simulator,
    postgres_database: Database,
    postgres_sync: Sync,
    somebody: Somebody,
    way: Way,
    when: str,
) -> None:
    run = arguments(center, accounts=list(center.accounts(100)))
    postgres_sync(**run)
    for account in run["accounts"]:
        center.change_agent(account, agent_type=11)
    before = untouched(postgres_database)
    moment, what = LOCKS[when]
    disarm = moment.arm(lambda: somebody.lock(what)) if moment else somebody.lock(what)

    def waits() -> bool:
        waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return postgres_database.query(waiting) == [(1,)]

    try:
        late = stop(way, waits, **run)
    finally:
        if disarm:
            disarm()

    assert waits()  # that was why
    assert late < AT_MOST
    somebody.go()
    others = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
    while postgres_database.query(others) != [(0,)]:
        time.sleep(0.02)
    time.sleep(0.2)
    assert untouched(postgres_database) == before  # what was left to itself has changed nothing, either

    counts = postgres_sync(**run, run_id="daily")
    assert (counts["synced"], counts["changed"] + counts["unchanged"]) == (100, 100)
    assert postgres_database.query("SELECT DISTINCT agent_type FROM cc_agent") == [(11,)]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_somebody_has_locked_does_not_hold_it_up(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, way: Way
) -> None:
    sqlite_sync(**arguments(center))
    with closing(sqlite3.connect(sqlite_database.connection["host"], isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")

        assert stop(way, 1.0, **arguments(center)) < AT_MOST
