"""A task that is killed and tried again ends as if nothing had happened, and does not ask for all again."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCAuthError, CCError
from airflow_provider_cc.hooks.transport import BulkClient
from airflow_provider_cc.simulator import Settings, Simulator
from airflow_provider_cc.sync.dialects.postgresql import PostgreSQL
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import ONLY, THOROUGH, Database, empty_mariadb
from tests.transfers.killing import Moment, Tries
from tests.transfers.meddling import Proxy, at_chunk, connect

CHUNK, CONCURRENCY = 40, 8
FROM_LIST, FROM_DIRECTORY = "list", "directory"
#: Counts that say how the work was shared out between the tries, not what came of it.
OF_THE_TRIES = ("resumed", "requests", "sign_ins", "throttled_seconds", "seconds")


@pytest.fixture(scope="module", params=["sqlite", "postgres", *["mariadb"] * (THOROUGH or ONLY == "mariadb")])
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Give a database of each kind that can lose a process, but not what it has committed."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("resume") / "warehouse.sqlite"
        return Database(f"sqlite:///{path}", {"conn_type": "sqlite", "host": str(path)})
    if request.param == "mariadb":
        return empty_mariadb(request.getfixturevalue("mariadb_connection"), name="resume")
    connection = request.getfixturevalue("postgres_connection")
    host, port, login = (connection[name] for name in ("host", "port", "login"))
    server = Database(f"postgresql+psycopg2://{login}@{host}:{port}/postgres", connection)
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as administrator:
        administrator.execute(sa.text("DROP DATABASE IF EXISTS resume"))
        administrator.execute(sa.text("CREATE DATABASE resume"))
    engine.dispose()
    url = server.url.removesuffix("postgres") + "resume"
    return Database(url, {**connection, "schema": "resume"})


@pytest.fixture(scope="module")
def changing(certificates: Path, lasting: Database) -> Iterator[Simulator]:
    """Give a contact center that goes through the same with each database."""
    settings = Settings(agents=400, seed=11, tls=True, cert_dir=certificates, count_accounts=True)
    with Simulator(settings) as simulator:
        yield simulator


@dataclass(frozen=True)
class Story:
    """What the database holds before the run that is killed, and after one that is not.

    :param arguments: of the operator
    :param before: every row of every table
    :param after: what :func:`outcome` says of the undisturbed run
    :param counts: what it returned
    :param asked: how often it asked for each account
    """

    arguments: dict[str, Any]
    before: dict[str, list[dict[str, Any]]]
    after: dict[str, list[Any]]
    counts: dict[str, Any]
    asked: Counter[str]


@pytest.fixture(scope="module")
def tries(changing: Simulator, lasting: Database) -> Tries:
    connections = changing.connections()
    connections["cc_management_default"]["extra"]["max_concurrency"] = CONCURRENCY
    connections["warehouse"] = dict(lasting.connection)
    return Tries({f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()})


@pytest.fixture(scope="module")
def tell(changing: Simulator, lasting: Database, tries: Tries) -> Callable[[str], Story]:
    """Let the contact center and the database go through every kind of change; remember both ends."""
    everybody = list(changing.accounts())
    listed = [*everybody[:300], *everybody[:5], *(f"nobody{number}" for number in range(15)), " padded", ""]
    tables = {"table": "cc_agent", "history_table": "cc_agent_history", "chunk_size": CHUNK}
    arguments = {
        FROM_LIST: {**tables, "accounts": listed, "softphones": "directory"},
        FROM_DIRECTORY: {**tables, "min_snapshot_ratio": 0.1},
    }
    for account in everybody[250:260]:
        changing.remove_agent(account)  # back later
    tries.run("first", arguments[FROM_DIRECTORY])
    tries.run("second", arguments[FROM_LIST])
    for account in everybody[250:260]:
        changing.add_agent(account, agent_id=20_000 + int(account[-3:]), softphone_number="7")
    for account in everybody[0:90:3]:
        changing.change_agent(account, agent_type=11)
    for account in [*everybody[1:20:3], *everybody[300:400]]:
        changing.remove_agent(account)
    before = _rows(lasting)
    told: dict[str, Story] = {}

    def tell(source: str) -> Story:
        if source not in told:
            _put(lasting, before)
            changing.stats.reset()
            counts = tries.run("undisturbed", arguments[source])
            asked = Counter(changing.stats.accounts)
            told[source] = Story(arguments[source], before, outcome(lasting), counts, asked)
        return told[source]

    return tell


def _rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    engine, metadata = sa.create_engine(database.url), sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        rows = {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return rows


def _put(database: Database, rows: dict[str, list[dict[str, Any]]]) -> None:
    engine, metadata = sa.create_engine(database.url), sa.MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
    engine.dispose()


def outcome(database: Database) -> dict[str, list[Any]]:
    """Return all rows of agents, history and rejects, with the number of the run for its stamps and key."""
    runs = database.query("SELECT started_at, run_key FROM cc_sync_run ORDER BY started_at")
    begun, keys = [begun for begun, _ in runs], {key: number for number, (_, key) in enumerate(runs, 1)}

    def of_a_run(value: Any) -> Any:
        return bisect_right(begun, value) if isinstance(value, datetime) else keys.get(value, value)

    return {
        name: sorted((tuple(map(of_a_run, row)) for row in database.query(query)), key=repr)
        for name, query in {
            "agents": "SELECT * FROM cc_agent",
            "history": "SELECT * FROM cc_agent_history",
            "rejects": "SELECT account, endpoint, code, message, rejected_at FROM cc_agent_reject",
            "staged": "SELECT * FROM cc_agent_stage",
        }.items()
    }


def ledger(database: Database) -> tuple[Any, ...]:
    """Return what the ledger says of the run that was killed."""
    (row,) = database.query("SELECT started_at, finished_at, error FROM cc_sync_run WHERE run_id = 'killed'")
    return row


def staged(database: Database) -> int:
    """Return how many accounts have a staged answer; those that only the table had do not count."""
    ((count,),) = database.query(
        "SELECT COUNT(*) FROM cc_agent_stage WHERE outcome <> 'gone' OR endpoint <> ''"
    )
    return int(count)


def asked_again(center: Simulator, story: Story) -> int:
    return len(Counter(center.stats.accounts) - story.asked)


MOMENTS = {
    "with the first chunk full and nothing written": (FROM_LIST, Moment("before", 1)),
    "with a later chunk full": (FROM_LIST, Moment("before", 4)),
    "with a chunk staged": (FROM_LIST, Moment("flush", 3)),
    "between that and the commit": (FROM_LIST, Moment("commit", 3)),
    "after the commit": (FROM_LIST, Moment("after", 3)),
    "when it stages an account that is gone": (FROM_LIST, Moment("commit", 1, "closing")),
    "with everything staged": (FROM_LIST, Moment("before", 1, "apply")),
    "in the change of the agents": (FROM_LIST, Moment("flush", 1, "apply")),
    "in the change of the history": (FROM_LIST, Moment("flush", 1, "apply", "cc_agent_history")),
    "with the rejects written": (FROM_LIST, Moment("flush", 1, "apply", "cc_agent_reject")),
    "with everything written": (FROM_LIST, Moment("commit", 1, "apply")),
    "between two pages' chunks": (FROM_DIRECTORY, Moment("after", 3)),
    "in the chunk of a page": (FROM_DIRECTORY, Moment("flush", 3)),
    "in the first chunk of those who are gone": (FROM_DIRECTORY, Moment("flush", 1, "closing")),
    "before those who are gone are committed": (FROM_DIRECTORY, Moment("commit", 2, "closing")),
    "between two chunks of those who are gone": (FROM_DIRECTORY, Moment("after", 2, "closing")),
    "after the last of them": (FROM_DIRECTORY, Moment("before", 1, "apply")),
    "in the middle of what applies them": (FROM_DIRECTORY, Moment("flush", 1, "apply", "cc_agent_history")),
}


#: What SQLite's journal has to undo. The rest is not about the database, or about what it has committed.
ON_SQLITE = (
    "with a chunk staged",
    "after the commit",
    "in the change of the history",
    "with everything written",
    "before those who are gone are committed",
)
#: Databases on which every moment is tested.
EVERY_MOMENT = [kind for kind in ("sqlite", "postgres", "mariadb") if THOROUGH or kind in ("postgres", ONLY)]


@pytest.mark.parametrize("when", ON_SQLITE)
def test_a_run_killed_ends_like_one_that_was_not(
    changing: Simulator, lasting: Database, tries: Tries, tell: Callable[[str], Story], when: str
) -> None:
    assert_killing_changes_nothing(changing, lasting, tries, tell, when)


# Without the scope, pytest would build the database and its content for each moment.
@pytest.mark.parametrize("lasting", EVERY_MOMENT, indirect=True, scope="module")
@pytest.mark.parametrize("when", [when for when in MOMENTS if when not in ON_SQLITE])
def test_so_does_a_run_killed_at_another_moment(
    changing: Simulator, lasting: Database, tries: Tries, tell: Callable[[str], Story], when: str
) -> None:
    assert_killing_changes_nothing(changing, lasting, tries, tell, when)


def assert_killing_changes_nothing(
    changing: Simulator, lasting: Database, tries: Tries, tell: Callable[[str], Story], when: str
) -> None:
    source, moment = MOMENTS[when]
    story = tell(source)
    _put(lasting, story.before)
    changing.stats.reset()
    tables = ("cc_agent", "cc_agent_history", "cc_agent_reject")
    untouched = {name: rows for name, rows in lasting.dump().items() if name in tables}

    tries.killed("killed", story.arguments, moment)
    begun, ended, _ = ledger(lasting)
    assert ended is None
    assert {name: rows for name, rows in lasting.dump().items() if name in tables} == untouched
    resumed = staged(lasting)
    counts = tries.run("killed", story.arguments)

    assert_as_if_undisturbed(lasting, story, counts)
    assert counts["resumed"] == resumed
    assert asked_again(changing, story) <= 2 * CHUNK + CONCURRENCY
    assert ledger(lasting)[0] == begun


def assert_as_if_undisturbed(database: Database, story: Story, counts: dict[str, Any]) -> None:
    assert outcome(database) == story.after
    assert {name: value for name, value in counts.items() if name not in OF_THE_TRIES} == {
        name: value for name, value in story.counts.items() if name not in OF_THE_TRIES
    }
    _, ended, error = ledger(database)
    assert ended is not None
    assert error is None


@pytest.mark.parametrize("source", [FROM_LIST, FROM_DIRECTORY])
def test_a_run_killed_between_its_commit_and_its_answer_is_done(
    lasting: Database, tries: Tries, tell: Callable[[str], Story], source: str
) -> None:
    story = tell(source)
    _put(lasting, story.before)

    tries.killed("killed", story.arguments, Moment("after", 1, "apply"))
    assert_as_if_undisturbed(lasting, story, story.counts)
    counts = tries.run("killed", story.arguments)

    assert (counts["resumed"], counts["unchanged"]) == (0, counts["synced"])
    assert (counts["added"], counts["changed"], counts["deactivated"], counts["reactivated"]) == (0, 0, 0, 0)
    runs = lasting.query("SELECT finished_at, error FROM cc_sync_run WHERE run_id = 'killed'")
    assert [error for finished_at, error in runs if finished_at is not None] == [None, None]


@pytest.mark.parametrize("source", [FROM_LIST, FROM_DIRECTORY])
def test_a_run_killed_at_random_moments_ends_like_one_that_was_not(
    changing: Simulator, lasting: Database, tries: Tries, tell: Callable[[str], Story], source: str
) -> None:
    """Up to three kills in a row, again and again."""
    chance = random.Random(source + lasting.kind)  # noqa: S311 - to be repeated
    story = tell(source)
    begun = time.monotonic()
    tries.run("measured", story.arguments)
    seconds = time.monotonic() - begun
    killed = 0
    while killed < (15 if THOROUGH else 3):
        _put(lasting, story.before)
        changing.stats.reset()
        counts, kills = None, 0
        while counts is None and kills < 3 and not is_done(lasting):
            begun = time.monotonic()
            counts = tries.killed_after(chance.uniform(0.0, seconds), "killed", story.arguments)
            kills += counts is None
            if counts is not None:
                seconds = min(seconds, time.monotonic() - begun)
        if counts is None and not is_done(lasting):
            counts = tries.run("killed", story.arguments)

        assert_as_if_undisturbed(lasting, story, counts or story.counts)
        assert asked_again(changing, story) <= kills * (2 * CHUNK + CONCURRENCY)
        killed += kills


def is_done(database: Database) -> bool:
    done = "SELECT 1 FROM cc_sync_run WHERE run_id = 'killed' AND finished_at IS NOT NULL"
    return bool(database.query(done))


BREAKS = {
    "while it stages": Moment("flush", 3),
    "before a chunk is committed": Moment("commit", 3),
    "before it applies": Moment("before", 1, "apply"),
    "with the agents changed": Moment("flush", 1, "apply"),
    "with the history changed": Moment("flush", 1, "apply", "cc_agent_history"),
    "with everything written": Moment("commit", 1, "apply"),
}
ALL_BUT_STAMPS = {
    "cc_agent": "account, agent_id, agent_type, agent_status, softphone_number, is_active",
    "cc_agent_history": "account, agent_id, agent_type, agent_status, softphone_number, valid_to IS NULL",
    "cc_agent_reject": "account, endpoint, code, message",
}


@dataclass(frozen=True)
class Twins:
    """Two tenants that have gone through the same in one contact center; the last run of the one is over.

    :param arguments: of the run that the other one lacks
    :param asked: how often the run asked for each account
    """

    arguments: dict[str, Any]
    database: Database
    asked: Counter[str]

    def rows(self, tenant: str) -> dict[str, list[Any]]:
        """Return everything that is not a stamp."""
        return {
            table: sorted(
                self.database.query(f"SELECT {columns} FROM {table} WHERE tenant = :t", t=tenant), key=repr
            )
            for table, columns in ALL_BUT_STAMPS.items()
        }

    def assert_alike(self) -> None:
        rows = self.rows("disturbed")
        assert rows == self.rows("undisturbed")
        assert all(rows.values())
        assert self.database.query("SELECT * FROM cc_agent_stage") == []
        unlike = """
            SELECT COUNT(DISTINCT (requested, synced, added, changed, unchanged, deactivated, rejected))
            FROM cc_sync_run WHERE run_id = 'last' AND finished_at IS NOT NULL AND error IS NULL
        """
        assert self.database.query(unlike) == [(1,)]
        assert self.database.query("SELECT COUNT(*) FROM cc_sync_run WHERE finished_at IS NOT NULL") == [(4,)]


@pytest.fixture
def twin_center(make_center: MakeCenter, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    center = make_center(200)
    connect(monkeypatch, center, max_concurrency=CONCURRENCY)
    return center


@pytest.fixture
def twins(twin_center: Simulator, postgres_database: Database, postgres_sync: Sync) -> Twins:
    accounts = list(twin_center.accounts())
    arguments: dict[str, Any] = {
        "accounts": accounts,
        "softphones": "none",
        "history_table": "cc_agent_history",
        "chunk_size": 10,
    }
    for tenant in ("undisturbed", "disturbed"):
        postgres_sync(**arguments, tenant=tenant)
    for account in accounts[::2]:
        twin_center.change_agent(account, agent_type=11)
    for account in accounts[::7]:
        twin_center.remove_agent(account)
    twin_center.stats.reset()
    postgres_sync(**arguments, tenant="undisturbed", run_id="last")
    asked = Counter(twin_center.stats.accounts)
    twin_center.stats.reset()
    return Twins({**arguments, "tenant": "disturbed", "run_id": "last"}, postgres_database, asked)


def terminate_backends(database: Database) -> None:
    database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


@pytest.mark.parametrize("when", BREAKS)
def test_a_backend_that_is_terminated_makes_no_difference(
    twin_center: Simulator, twins: Twins, postgres_sync: Sync, when: str
) -> None:
    """The transaction is repeated, and nobody is asked for again."""
    terminated: list[str] = []

    def terminate() -> None:
        terminated.append(when)
        terminate_backends(twins.database)

    disarm = BREAKS[when].arm(terminate)
    postgres_sync(**twins.arguments)
    disarm()

    assert terminated == [when]
    assert twin_center.stats.accounts == twins.asked
    twins.assert_alike()


def test_a_backend_that_is_terminated_while_it_copies_makes_no_difference(
    twin_center: Simulator, twins: Twins, postgres_sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver raises then is not SQLAlchemy's."""
    copy, terminated = PostgreSQL.append, iter(range(3))

    def append(dialect: PostgreSQL, connection: Any, *arguments: Any) -> None:
        if next(terminated, None) is not None:
            terminate_backends(twins.database)
        copy(dialect, connection, *arguments)

    monkeypatch.setattr(PostgreSQL, "append", append)
    postgres_sync(**twins.arguments)

    assert list(terminated) == []
    assert twin_center.stats.accounts == twins.asked
    twins.assert_alike()


def test_backends_that_are_terminated_at_random_moments_make_no_difference(
    twin_center: Simulator, twins: Twins, postgres_sync: Sync
) -> None:
    chance = random.Random(7)  # noqa: S311 - to be repeated
    done, times = threading.Event(), 0

    def terminate() -> None:
        nonlocal times
        # Not for ever: on a busy machine no transaction might fit between two of them.
        while times < 20 and not done.wait(chance.uniform(0.02, 0.3)):
            terminate_backends(twins.database)
            times += 1

    twin_center.faults.latency = 0.05
    attempts = 0
    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        for _ in range(4):
            attempts += 1
            try:
                postgres_sync(**twins.arguments)
                break
            except CCError:  # a transaction met eight terminations, or one hit the reading of a result
                continue
    finally:
        done.set()
        thread.join()

    assert times >= 5
    # A failed attempt's rejects are asked for again, too.
    rejects = len(twins.rows("disturbed")["cc_agent_reject"])
    again = len(Counter(twin_center.stats.accounts) - twins.asked)
    assert again <= (attempts - 1) * (2 * 10 + CONCURRENCY + rejects)
    twins.assert_alike()


# The others end in the same rollback.
@pytest.mark.parametrize(
    "when", BREAKS if THOROUGH else ["while it stages", "before it applies", "with everything written"]
)
def test_a_database_that_goes_away_costs_two_batches_at_most(
    twin_center: Simulator,
    twins: Twins,
    postgres_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    direct = os.environ["AIRFLOW_CONN_WAREHOUSE"]
    before = twins.rows("disturbed")
    with Proxy(twins.database.connection["port"]) as proxy:
        connection = {**twins.database.connection, "port": proxy.port}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
        disarm = BREAKS[when].arm(proxy.go_away)
        with pytest.raises(CCError, match="Database error"):
            postgres_sync(**twins.arguments)
        disarm()
    assert twins.rows("disturbed") == before
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", direct)

    counts = postgres_sync(**twins.arguments)

    lost = len(twins.arguments["accounts"]) - counts["resumed"]
    again = len(Counter(twin_center.stats.accounts) - twins.asked)
    assert again <= (2 * 10 + CONCURRENCY if BREAKS[when].of == "chunk" else 0)
    assert again <= lost
    twins.assert_alike()


def started(database: Database) -> list[Any]:
    return [moment for (moment,) in database.query("SELECT started_at FROM cc_sync_run ORDER BY started_at")]


def test_a_finished_run_that_is_cleared_starts_anew(
    center: Simulator, database: Database, sync: Sync
) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts, softphones="none", run_id="daily")

    counts = sync(accounts=accounts, softphones="none", run_id="daily")

    first, second = started(database)
    assert second > first
    ((earliest,),) = database.query("SELECT MIN(synced_at) FROM cc_agent")
    assert second <= earliest
    assert (counts["resumed"], counts["unchanged"]) == (0, 12)
    assert center.stats.accounts == Counter(dict.fromkeys(accounts, 2))


def test_of_two_tries_at_once_the_earlier_gives_way(
    make_center: MakeCenter, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a worker loses touch with Airflow, which starts the task elsewhere while it goes on."""
    center = make_center(60)
    arguments: dict[str, Any] = {
        "accounts": list(center.accounts()),
        "softphones": "none",
        "history_table": "cc_agent_history",
        "chunk_size": 10,
    }
    elsewhere = Tries({name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")})
    counts: dict[str, Any] = {}
    at_chunk(monkeypatch, 3, lambda: counts.update(elsewhere.run("daily", arguments)))

    with pytest.raises(CCError, match="Run taken over by a newer attempt of this task"):
        sync(**arguments, run_id="daily")

    assert (counts["synced"], counts["added"], counts["resumed"]) == (60, 60, 20)
    assert database.query("SELECT synced, added, error FROM cc_sync_run") == [(60, 60, None)]
    assert database.query("SELECT COUNT(*) FROM cc_agent") == [(60,)]
    assert database.query("SELECT COUNT(*) FROM cc_agent_history") == [(60,)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_lost_around_any_commit_counts_nothing_twice(
    make_center: MakeCenter,
    postgres_database: Database,
    postgres_sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    when: Literal["before", "after"],
) -> None:
    """The answer to COMMIT may be lost although the database has committed, or because it has not."""
    center = make_center(60)
    accounts = [*center.accounts(), "nobody"]
    arguments: dict[str, Any] = {"accounts": accounts, "softphones": "none", "chunk_size": 30}
    with Proxy(postgres_database.connection["port"]) as proxy:
        connection = {**postgres_database.connection, "port": proxy.port}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
        postgres_sync(**arguments, tenant="undisturbed")
        commits = proxy.commits
        assert commits >= 2 + 3 + 1  # the run's beginning, each chunk, and what applies them

        for number in range(1, commits + 1):
            tenant = f"cut at {number}"
            before = proxy.commits
            proxy.cut(before + number, when)
            center.stats.reset()

            counts = postgres_sync(**arguments, history_table="cc_agent_history", tenant=tenant)

            assert proxy.cuts == number
            assert proxy.commits == before + commits + 1
            assert (counts["synced"], counts["added"], counts["rejected"]) == (60, 60, 1)
            assert center.stats.accounts == Counter(accounts)  # nobody was asked for again
            for table, rows in (("cc_agent", 60), ("cc_agent_history", 60), ("cc_agent_reject", 1)):
                counted = f"SELECT COUNT(*), COUNT(DISTINCT account) FROM {table} WHERE tenant = :tenant"
                assert postgres_database.query(counted, tenant=tenant) == [(rows, rows)]
    ledgers = postgres_database.query(
        "SELECT DISTINCT synced, added, rejected, commits, error, finished_at IS NULL FROM cc_sync_run"
    )
    assert ledgers == [(60, 60, 1, 3, None, False)]
    assert postgres_database.query("SELECT * FROM cc_agent_stage") == []


def test_what_another_dag_synced_meanwhile_stays(
    make_center: MakeCenter, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = make_center(60)
    accounts = list(center.accounts(20))

    def stop() -> None:
        raise InterruptedError

    at_chunk(monkeypatch, 2, stop)
    with pytest.raises(InterruptedError):
        sync(accounts=accounts, softphones="none", chunk_size=5, run_id="daily")
    ((early,),) = database.query("SELECT MAX(read_at) FROM cc_agent_stage")
    for account in accounts:
        center.change_agent(account, agent_type=99)
    sync(task_id="directory")
    ((later,),) = database.query("SELECT MIN(synced_at) FROM cc_agent")
    assert early < later

    counts = sync(accounts=accounts, softphones="none", chunk_size=5, run_id="daily")

    assert (counts["requested"], counts["unique"], counts["synced"], counts["resumed"]) == (20, 20, 20, 5)
    # What is staged is older than what the table has by now, and so counts for nothing.
    assert (counts["unchanged"], counts["changed"]) == (5, 15)
    assert database.query("SELECT DISTINCT agent_type FROM cc_agent WHERE account < 'agent000020'") == [(99,)]
    assert database.query("SELECT MIN(synced_at) FROM cc_agent") == [(later,)]


def test_a_run_that_failed_for_its_rejects_asks_for_them_again(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    """Otherwise neither Airflow's retries nor clearing the task could ever help it."""
    center = make_center(60)
    accounts = list(center.accounts())
    center.faults.overrides = dict.fromkeys(accounts[:50], (500, ""))
    arguments: dict[str, Any] = {"accounts": accounts, "softphones": "none", "chunk_size": 10}
    with pytest.raises(CCError, match="more than max_rejects"):
        sync(**arguments, run_id="daily")
    center.faults.overrides = {}

    counts = sync(**arguments, run_id="daily")

    assert (counts["synced"], counts["rejected"]) == (60, 0)
    assert database.query("SELECT COUNT(*) FROM cc_agent_reject") == [(0,)]
    assert database.query("SELECT synced, rejected, error FROM cc_sync_run") == [(60, 0, None)]


def test_a_chunk_committed_while_the_run_failed_is_staged(
    make_center: MakeCenter, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commit cannot be called back when another call is refused for good."""
    center = make_center(60)
    connect(monkeypatch, center, max_concurrency=4)
    refused = threading.Event()
    ask = BulkClient.call

    async def call(client: BulkClient, *arguments: Any) -> Any:
        try:
            return await ask(client, *arguments)
        except CCAuthError:
            refused.set()
            raise

    def shut_out() -> None:
        center.settings.allow_listed = False
        assert refused.wait(10)

    monkeypatch.setattr(BulkClient, "call", call)
    at_chunk(monkeypatch, 2, shut_out)
    arguments: dict[str, Any] = {"accounts": list(center.accounts()), "softphones": "none", "chunk_size": 10}
    with pytest.raises(CCAuthError):
        sync(**arguments, run_id="daily")
    assert database.query("SELECT commits, added FROM cc_sync_run") == [(2, 0)]
    assert staged(database) == 20
    assert database.query("SELECT * FROM cc_agent") == []
    center.settings.allow_listed = True

    counts = sync(**arguments, run_id="daily")

    assert (counts["resumed"], counts["synced"], counts["added"]) == (20, 60, 60)
