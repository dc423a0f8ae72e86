"""What fails in passing costs nothing but time; what fails for good ends the run, soon and cleanly."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partialmethod
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCAuthError, CCError, CCSignInUnavailable, CCTransientError
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.transport import FIRST_BACK_OFF, MAX_TRIES
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database
from tests.transfers.meddling import Proxy, at_chunk, connect

INFO, SIGN_IN = "queryAgentInfoByAccount", "tokenByAkSk"
AtChunk = Callable[[int, Callable[[], object]], None]


@pytest.fixture
def do_at_chunk(monkeypatch: pytest.MonkeyPatch) -> AtChunk:
    """Have something happen right before a chunk is staged."""
    return lambda number, action: at_chunk(monkeypatch, number, action)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try calls again after hundredths of a second."""
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.02)


@pytest.fixture
def center(make_center: MakeCenter, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Give a contact center that is asked eight things at a time."""
    center = make_center(400)
    connect(monkeypatch, center, max_concurrency=8)
    return center


def everybody(center: Simulator, **arguments: Any) -> dict[str, Any]:
    """Return the arguments of a run over all accounts, to be found again by the next try."""
    return {
        "accounts": list(center.accounts()),
        "softphones": "none",
        "history_table": "cc_agent_history",
        "chunk_size": 50,
        "run_id": "daily",
        **arguments,
    }


def assert_all_there(center: Simulator, database: Database, counts: dict[str, Any]) -> None:
    """Nothing is lost, nothing is double."""
    agents = sorted((a.account, a.agent_id) for a in map(center.agent, center.accounts()))
    assert sorted(database.query("SELECT account, agent_id FROM cc_agent")) == agents
    assert sorted(database.query("SELECT account, agent_id FROM cc_agent_history")) == agents
    for table in ("cc_agent_reject", "cc_agent_stage"):
        assert database.query(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    assert counts["synced"] == counts["added"] == counts["requested"] == len(agents)
    ledger = database.query("SELECT synced, added, rejected, error, finished_at FROM cc_sync_run")
    assert [row[:4] for row in ledger] == [(len(agents), len(agents), 0, None)]
    assert ledger[0][4] is not None


def assert_intact(database: Database, chunks: int, error: str | None) -> None:
    """The tables are as they were, what was committed is staged, and the ledger says so."""
    for table in ("cc_agent", "cc_agent_history", "cc_agent_reject"):
        assert database.query(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    assert database.query("SELECT COUNT(*) FROM cc_agent_stage") == [(50 * chunks,)]
    ((commits, finished_at, noted),) = database.query("SELECT commits, finished_at, error FROM cc_sync_run")
    assert (commits, finished_at) == (chunks, None)
    assert error in (noted or "") if error is not None else noted is None


def drop_connections(database: Database) -> None:
    """End all of the server's connections but this one."""
    database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


# What passes


def test_all_faults_together(
    make_center: MakeCenter,
    postgres_database: Database,
    postgres_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    do_at_chunk: AtChunk,
) -> None:
    center = make_center(3000)
    connect(monkeypatch, center, timeout=1.5)
    faults = center.faults
    faults.only = {INFO}
    faults.errors, faults.reset_before, faults.reset_midway = {502: 0.01}, 0.005, 0.005
    faults.slow_share, faults.slow_seconds = 0.002, 3.0
    faults.rate_limit, faults.retry_after = 300, 1
    faults.expire_every = 2.0
    do_at_chunk(5, lambda: drop_connections(postgres_database))

    counts = postgres_sync(**everybody(center, chunk_size=200))

    assert_all_there(center, postgres_database, counts)
    statuses = center.stats.statuses_by_endpoint[INFO]
    assert all(statuses[status] for status in (200, 401, 429, 502, 0))
    assert counts["sign_ins"] == center.stats.sign_ins("management") == center.stats.requests(SIGN_IN)
    assert 1 < counts["sign_ins"] <= 2 + counts["seconds"] / faults.expire_every


FAULTS: dict[str, dict[str, Any]] = {
    "HTTP 502": {"errors": {502: 0.05}},
    "HTTP 503 and 504": {"errors": {503: 0.03, 504: 0.03}},
    "HTTP 502 as a web page": {"errors": {502: 0.05}, "html_errors": True},
    "resets before the reply": {"reset_before": 0.05},
    "resets in the reply": {"reset_midway": 0.05},
    "replies slower than the time-out": {"slow_share": 0.01, "slow_seconds": 3.0},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_fails_in_passing_is_made_again(
    center: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    hurry: None,
    fault: str,
) -> None:
    connect(monkeypatch, center, timeout=1, max_concurrency=8)
    center.faults.only = {INFO}
    for name, value in FAULTS[fault].items():
        setattr(center.faults, name, value)

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert counts["requests"] > 400
    assert counts["sign_ins"] == 1


def test_a_session_that_lapses_is_renewed_once(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, do_at_chunk: AtChunk
) -> None:
    do_at_chunk(2, center.expire_sessions)
    do_at_chunk(5, center.expire_sessions)

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert counts["sign_ins"] == center.stats.requests(SIGN_IN) == 3
    assert counts["requests"] <= 400 + 2 * (8 + 1)  # each call under way at the time once more, and a probe


def test_a_refusal_for_being_too_fast_holds_up_everyone(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center.faults.rate_limit, center.faults.retry_after = 100, 1

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert 0 < center.stats.statuses[429] < 40
    throttled = counts["throttled_seconds"]
    assert 0 < throttled <= counts["seconds"]
    assert sqlite_database.query("SELECT throttled_seconds FROM cc_sync_run") == [(throttled,)]


def test_a_database_connection_that_drops_is_made_anew(
    center: Simulator, postgres_database: Database, postgres_sync: Sync, do_at_chunk: AtChunk
) -> None:
    do_at_chunk(4, lambda: drop_connections(postgres_database))

    counts = postgres_sync(**everybody(center))

    assert_all_there(center, postgres_database, counts)


def test_a_lock_that_times_out_while_it_copies_is_waited_for(
    center: Simulator,
    postgres_database: Database,
    postgres_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    do_at_chunk: AtChunk,
) -> None:
    """What the driver raises in a COPY is not SQLAlchemy's, and yet is tried again."""
    extra = {"options": "-c lock_timeout=100ms"}
    connection = {**postgres_database.connection, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    engine = sa.create_engine(postgres_database.url, poolclass=sa.pool.NullPool)
    with closing(engine.connect()) as somebody:

        def lock() -> None:
            somebody.execute(sa.text("LOCK TABLE cc_agent_stage"))
            threading.Timer(0.5, somebody.rollback).start()

        do_at_chunk(3, lock)
        counts = postgres_sync(**everybody(center))

    assert_all_there(center, postgres_database, counts)
    assert center.stats.requests(INFO) == 400


# What does not


def test_a_bad_gateway_at_a_sign_in_ends_the_run_and_a_retry_goes_on(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, do_at_chunk: AtChunk
) -> None:
    """Nobody knows whether the credential was looked at, so it is not sent again at once."""

    def fail() -> None:
        center.faults.only, center.faults.errors = {SIGN_IN}, {502: 1.0}
        center.expire_sessions()

    do_at_chunk(3, fail)
    with pytest.raises(CCSignInUnavailable, match="tokenByAkSk: HTTP 502"):
        sqlite_sync(**everybody(center))
    assert center.stats.requests(SIGN_IN) == 2
    assert_intact(sqlite_database, 3, "tokenByAkSk: HTTP 502")
    center.faults.errors = {}

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert counts["resumed"] == 150


@pytest.mark.parametrize("concurrency", [1, 32])
def test_a_server_that_dies_ends_the_run_with_the_tries_of_one_call(
    make_center: MakeCenter,
    sqlite_database: Database,
    sqlite_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    do_at_chunk: AtChunk,
    concurrency: int,
) -> None:
    """That nobody listens is no account's fault: no further account is tried."""
    center = make_center(400)
    connect(monkeypatch, center, max_concurrency=concurrency)
    died: list[float] = []

    def die() -> None:
        center.stop()
        died.append(time.monotonic())

    do_at_chunk(3, die)
    with pytest.raises(CCTransientError, match="refused the connection"):
        sqlite_sync(**everybody(center))
    longest = sum(FIRST_BACK_OFF * 2**repeat for repeat in range(MAX_TRIES - 1))
    assert time.monotonic() - died[0] < longest + 15  # seconds for a busy machine
    ((chunks,),) = sqlite_database.query("SELECT commits FROM cc_sync_run")
    assert 3 <= chunks <= 5  # what had been answered by then
    assert_intact(sqlite_database, chunks, "refused the connection")
    center.start()
    connect(monkeypatch, center)

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert counts["resumed"] == 50 * chunks


def test_a_database_gone_for_good_ends_the_run_within_a_minute(
    center: Simulator,
    postgres_database: Database,
    postgres_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    do_at_chunk: AtChunk,
) -> None:
    gone: list[float] = []
    with Proxy(postgres_database.connection["port"]) as proxy:
        connection = {**postgres_database.connection, "port": proxy.port}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))

        def go_away() -> None:
            proxy.go_away()
            gone.append(time.monotonic())

        do_at_chunk(3, go_away)
        with pytest.raises(CCError, match=r"connection 'warehouse'\): .*refused"):
            postgres_sync(**everybody(center))
    assert time.monotonic() - gone[0] < 60
    assert_intact(postgres_database, 2, None)
    assert center.stats.requests(INFO) <= 4 * 50 + 8
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(dict(postgres_database.connection)))

    counts = postgres_sync(**everybody(center))

    assert_all_there(center, postgres_database, counts)
    assert counts["resumed"] == 100


def test_a_query_for_accounts_that_fails_in_the_middle_says_why(
    center: Simulator, postgres_database: Database, postgres_sync: Sync
) -> None:
    query = "SELECT 'agent' || 100 / (4000 - number) FROM generate_series(1, 9000) AS number"

    with pytest.raises(CCError, match=r"connection 'warehouse'\): division by zero"):
        postgres_sync(accounts_sql=query, softphones="none", history_table="cc_agent_history")

    assert postgres_database.tables() == set()
    assert center.stats.requests() == 0


def test_a_full_disk_ends_the_run_within_a_minute(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, do_at_chunk: AtChunk
) -> None:
    full: list[float] = []

    def limit(connection: Any, record: Any) -> None:
        if full:  # SQLite keeps the limit by connection, and answers beyond it as for a full disk
            connection.execute("PRAGMA max_page_count = 1")

    def fill(connection: Any) -> None:
        limit(connection.connection.dbapi_connection, None)

    sa.event.listen(sa.engine.Engine, "connect", limit)
    sa.event.listen(sa.engine.Engine, "begin", fill)
    try:
        do_at_chunk(3, lambda: full.append(time.monotonic()))
        with pytest.raises(CCError, match=r"connection 'warehouse'\): .*disk is full"):
            sqlite_sync(**everybody(center))
    finally:
        sa.event.remove(sa.engine.Engine, "connect", limit)
        sa.event.remove(sa.engine.Engine, "begin", fill)
    assert time.monotonic() - full[0] < 60
    assert_intact(sqlite_database, 2, "database or disk is full")

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)


def test_a_secret_that_changes_in_mid_run_is_sent_once_more_at_most(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, do_at_chunk: AtChunk
) -> None:
    def change() -> None:
        center.settings.app_secret = "another-secret"
        center.expire_sessions()

    do_at_chunk(3, change)

    with pytest.raises(CCAuthError, match=SIGN_IN):
        sqlite_sync(**everybody(center))

    assert center.stats.requests(SIGN_IN) == 2
    assert_intact(sqlite_database, 3, SIGN_IN)


def test_an_address_struck_off_the_allow_list_asks_no_more(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, do_at_chunk: AtChunk
) -> None:
    do_at_chunk(3, lambda: setattr(center.settings, "allow_listed", False))

    with pytest.raises(CCAuthError, match="HTTP 403"):
        sqlite_sync(**everybody(center))

    assert 1 <= center.stats.statuses[403] <= 2 * 8  # each call under way, and the query that shows why
    assert center.stats.requests(SIGN_IN) == 1
    assert_intact(sqlite_database, 3, "HTTP 403")


def test_a_name_that_does_not_resolve_is_said_before_anything_is_asked(
    center: Simulator, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch, hurry: None
) -> None:
    connect(monkeypatch, center, host="contact-center.invalid")

    with pytest.raises(CCSignInUnavailable, match=r"contact-center\.invalid cannot be resolved"):
        sqlite_sync(**everybody(center))

    assert center.stats.requests() == 0


def test_a_name_that_no_longer_resolves_ends_the_run(
    center: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    do_at_chunk: AtChunk,
    hurry: None,
) -> None:
    connect(monkeypatch, center, host="localhost", max_concurrency=8)
    # So as not to wait until it forgets the address.
    no_cache = partialmethod(aiohttp.TCPConnector.__init__, use_dns_cache=False)
    monkeypatch.setattr(aiohttp.TCPConnector, "__init__", no_cache)

    def lose_name() -> None:
        async def unknown(*arguments: Any, **options: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        # Not the system's: a loop of uvloop's asks it directly.
        monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", unknown)
        center.faults.reset_before = 1.0  # so that connections have to be made again

    do_at_chunk(3, lose_name)

    with pytest.raises(CCTransientError, match="the host name localhost cannot be resolved"):
        sqlite_sync(**everybody(center))

    assert_intact(sqlite_database, 3, "cannot be resolved")


@pytest.mark.parametrize(("concurrency", "in_a_row"), [(1, 10), (16, 16)])
def test_a_server_that_hangs_is_given_up_after_one_round(
    center: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    do_at_chunk: AtChunk,
    hurry: None,
    concurrency: int,
    in_a_row: int,
) -> None:
    """It takes every connection and says nothing: only waiting tells."""
    connect(monkeypatch, center, timeout=0.3, max_concurrency=concurrency)
    asked: list[int] = []

    def hang() -> None:
        center.faults.latency, center.faults.only = 30.0, {INFO}
        asked.append(center.stats.requests(INFO))

    do_at_chunk(3, hang)
    with pytest.raises(CCTransientError, match=f": {in_a_row} calls in a row failed; .*0.3 s"):
        sqlite_sync(**everybody(center))

    # What was under way when it began to hang, and its tries; of the calls after these, the first ones only.
    assert center.stats.requests(INFO) - asked[0] <= (in_a_row + 2 * concurrency) * transport.MAX_TRIES
    ((chunks,),) = sqlite_database.query("SELECT commits FROM cc_sync_run")
    assert_intact(sqlite_database, chunks, "calls in a row failed")
    center.faults.latency = 0.0
    connect(monkeypatch, center, max_concurrency=8)

    counts = sqlite_sync(**everybody(center))

    assert_all_there(center, sqlite_database, counts)
    assert counts["resumed"] == 50 * chunks


def test_an_answer_between_failures_says_that_the_server_is_there(
    center: Simulator, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch, hurry: None
) -> None:
    """Nine of ten fail, and so do not say what ten in a row would."""
    connect(monkeypatch, center, max_concurrency=1)
    accounts = list(center.accounts())
    failing = [account for place, account in enumerate(accounts[:50]) if place % 10]
    center.faults.overrides = dict.fromkeys(failing, (502, ""))

    assert sqlite_sync(**everybody(center))["rejected"] == len(failing) == 45


@pytest.mark.parametrize("unanswered", [50, 51])
def test_more_than_fifty_failures_in_a_thousand_calls_end_the_run(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, hurry: None, unanswered: int
) -> None:
    # Every third account: fewer in a row than say by themselves that the server is gone.
    center.faults.overrides = dict.fromkeys(list(center.accounts())[100::3][:unanswered], (502, ""))

    if unanswered > 50:
        with pytest.raises(CCTransientError, match="more than 50 of the last 1000 calls failed"):
            sqlite_sync(**everybody(center))
    else:
        assert sqlite_sync(**everybody(center))["rejected"] == unanswered


def test_failures_that_lie_far_apart_do_not_end_the_run(
    make_center: MakeCenter, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch, hurry: None
) -> None:
    center = make_center(2400)
    connect(monkeypatch, center, max_concurrency=8)
    center.faults.overrides = dict.fromkeys(list(center.accounts())[::40], (502, ""))

    assert sqlite_sync(**everybody(center, chunk_size=1000))["rejected"] == 60
