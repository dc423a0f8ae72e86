"""What is MariaDB's alone: its collations, settings, locks and errors."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import database_of
from airflow_provider_cc.sync.ledger import Ledger
from airflow_provider_cc.transfers.lineage import lineage, rows_written
from tests.sync.runs import Bench
from tests.sync.test_connecting import Recorder
from tests.transfers.database import Database

PASSWORD = "canary-DB-passw0rd"
#: What MariaDB says of a connection that has ended: ER_NO_SUCH_THREAD.
NO_SUCH_THREAD = 1094
ALL = ("cc_agent", "cc_agent_history", "cc_agent_reject", "cc_sync_run", "cc_agent_stage")


@pytest.fixture(params=["mariadb", "latin1"])
def database(request: pytest.FixtureRequest) -> Database:
    """Give an empty database on a server with the usual settings, and with the least suitable."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def usual(mariadb_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give an empty database on a server with the usual settings, and tell Airflow of it."""
    tell(monkeypatch, mariadb_database)
    return mariadb_database


@pytest.fixture
def setting(usual: Database) -> Iterator[Callable[[str, Any], None]]:
    """Change settings of the server; they are as before at the end."""
    before: dict[str, Any] = {}

    def change(name: str, value: Any) -> None:
        ((before[name],),) = usual.query(f"SELECT @@GLOBAL.{name}")
        usual.execute(f"SET GLOBAL {name} = {value!r}")

    yield change
    for name, value in before.items():
        usual.execute(f"SET GLOBAL {name} = {value!r}")


def tell(monkeypatch: pytest.MonkeyPatch, database: Database, **changes: Any) -> None:
    """Tell Airflow of a warehouse."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**database.connection, **changes}))


def other_connections(database: Database) -> list[int]:
    """Return the numbers of all connections but the one that asks."""
    sql = "SELECT id FROM information_schema.processlist WHERE user = 'cc' AND id <> connection_id()"
    return [number for (number,) in database.query(sql)]


def kill_others(database: Database) -> None:
    for other in other_connections(database):
        try:
            database.execute(f"KILL {other}")
        except sa.exc.DatabaseError as error:
            if getattr(error.orig, "errno", None) != NO_SUCH_THREAD:  # an earlier test's ended by itself
                raise


def row(account: str, at: Any, *values: Any) -> Answer:
    return Answer(account, "row", at, values)


# Text and time


def test_accounts_that_look_alike_are_different_ones(database: Database, warehouse: str) -> None:
    accounts = ["ann", "Ann", "ANN", "ann ", "änn", "ａnn", "anñ", "an\u0303n", "張偉", "😀", "ß", "ss"]
    bench = Bench(warehouse)
    assert bench.sync("one", {account: number for number, account in enumerate(accounts)}).added == 12
    assert bench.sync("two", {account: number for number, account in enumerate(accounts)}).unchanged == 12
    assert bench.sync("three", {"Ann": 7, "ann ": None}).changed == 1
    agents, history = bench.held()
    assert agents.keys() == history.keys() == set(accounts)
    assert [agents[account][0][0] for account in ("ann", "Ann", "ANN")] == [0, 7, 2]
    assert [agents[account][1] for account in ("ann", "ann ")] == [True, False]


def test_a_change_of_letter_case_is_a_change(database: Database, warehouse: str) -> None:
    bench = Bench(warehouse)
    for dag_id, status in (("one", "busy"), ("two", "Busy"), ("three", "Busy ")):
        ledger, staging = bench.run(dag_id, ["agent_status"])
        answer = row("ann", staging.now(), status)
        staging.append([answer], Counts())
        counts = bench.apply(ledger, ["agent_status"], [answer])
        assert counts.added + counts.changed == 1
    assert [version[0][2] for version in bench.held()[1]["ann"]] == ["busy", "Busy", "Busy "]


def test_what_is_too_long_is_never_cut(database: Database, warehouse: str) -> None:
    """On a server that would cut it with a warning, too."""
    bench = Bench(warehouse)
    values = {"tenant": "north", "account": "x" * 101, "is_active": True}
    values |= dict.fromkeys(("first_seen_at", "changed_at", "synced_at"), bench.run("one", [])[0].started_at)
    insert = sa.insert(bench.tables.agent).values(**values)
    with pytest.raises(CCError, match="Data too long for column 'account'") as caught:
        bench.database.transaction(lambda connection: connection.execute(insert))
    assert "xxx" not in str(caught.value)
    assert database.query("SELECT count(*) FROM cc_agent") == [(0,)]


def test_a_run_of_the_longest_names_has_a_key(database: Database, warehouse: str) -> None:
    bench = Bench(warehouse)
    key = {
        "dag_id": "日" * 250,
        "task_id": "é" * 250,
        "run_id": "😀" * 250,
        "map_index": -1,
        "tenant": "t" * 250,
    }
    assert Ledger(bench.database, bench.tables, key, "here").begin("accounts") is None
    assert Ledger(bench.database, bench.tables, key, "here").begin("accounts") is not None
    assert database.query("SELECT run_id, tries FROM cc_sync_run") == [("😀" * 250, 2)]


def test_settings_of_the_session_do_not_depend_on_the_server(
    usual: Database, setting: Callable[[str, Any], None]
) -> None:
    setting("default_storage_engine", "MyISAM")
    setting("innodb_default_row_format", "compact")
    setting("tx_isolation", "SERIALIZABLE")
    bench = Bench()
    bench.sync("one", {"ann": 1})
    engines = (
        "SELECT DISTINCT engine, row_format FROM information_schema.tables WHERE table_schema = database()"
    )
    assert usual.query(engines) == [("InnoDB", "Dynamic")]
    with bench.database.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT @@tx_isolation, @@time_zone, @@sql_mode").one()
    assert found[:2] == ("READ-COMMITTED", "+00:00")
    assert {"STRICT_ALL_TABLES", "NO_ENGINE_SUBSTITUTION"} <= set(found[2].split(","))  # its own are kept


# Conflicts, lost connections, refusals


def test_of_two_transactions_in_a_deadlock_one_is_repeated(
    usual: Database, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    bench.sync("one", {"ann": 1, "bob": 1})
    agent, both, tries = bench.tables.agent, threading.Barrier(2), []

    def swap(names: tuple[str, str]) -> None:
        mine: list[str] = []

        def work(connection: sa.engine.Connection) -> None:
            mine.append("try")
            for number, name in enumerate(names):
                add = sa.update(agent).where(agent.c.account == name).values(agent_id=agent.c.agent_id + 1)
                connection.execute(add)
                if number == 0 and len(mine) == 1:
                    both.wait(10)

        bench.database.transaction(work)
        tries.extend(mine)

    threads = [threading.Thread(target=swap, args=(names,)) for names in (("ann", "bob"), ("bob", "ann"))]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(tries) == 3
    assert "Deadlock found" in caplog.text
    assert [values[0][0] for values in bench.held()[0].values()] == [3, 3]


def test_a_row_that_is_locked_for_too_long_is_tried_again(
    usual: Database, setting: Callable[[str, Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    setting("innodb_lock_wait_timeout", 1)
    bench = Bench()
    bench.sync("one", {"ann": 1})
    engine = sa.create_engine(usual.url, poolclass=sa.pool.NullPool)
    with caplog.at_level(logging.WARNING), engine.connect() as somebody:
        transaction = somebody.begin()
        somebody.exec_driver_sql("UPDATE cc_agent SET agent_type = 7")
        changed: list[Counts] = []
        thread = threading.Thread(target=lambda: changed.append(bench.sync("two", {"ann": 2})))
        thread.start()
        deadline = time.monotonic() + 20
        while "Lock wait timeout" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
        transaction.rollback()
    thread.join()
    assert "Lock wait timeout" in caplog.text
    assert changed[0].changed == 1


@pytest.mark.parametrize("number", range(0, 16, 2))
def test_a_connection_that_is_lost_at_any_statement_costs_nothing(usual: Database, number: int) -> None:
    """Whether it holds the lock or not, and whatever is written: all of it is repeated."""
    bench = Bench()
    bench.sync("one", {"ann": 1, "bob": 2, "cid": 3})
    ledger, staging = bench.run("two", ["agent_id"])
    answers = [row("ann", staging.now(), 7), row("dan", staging.now(), 8)]
    left = [number]

    def kill(*_: Any) -> None:
        left[0] -= 1
        if left[0] == -1:
            kill_others(usual)

    sa.event.listen(bench.database.engine, "before_cursor_execute", kill)
    staging.append(answers, Counts())
    counts = bench.apply(ledger, ["agent_id"], answers)
    assert left[0] < 0
    assert (counts.changed, counts.added) == (1, 1)
    agents, history = bench.held()
    assert {name: values[0][0] for name, values in agents.items()} == {"ann": 7, "bob": 2, "cid": 3, "dan": 8}
    assert [len(history[name]) for name in sorted(history)] == [2, 1, 1, 1]
    assert usual.query("SELECT count(*) FROM cc_agent_stage") == [(0,)]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("moment", ["begin", "commit"])
def test_a_connection_that_is_lost_between_statements_costs_nothing(
    usual: Database, moment: str, number: int
) -> None:
    """Before a transaction begins, or when all is written: that of staging, and that of applying."""
    bench = Bench()
    ledger, staging = bench.run("one", ["agent_id"])
    answers = [row("ann", staging.now(), 7), row("bob", staging.now(), 8)]
    left = [number]

    def kill(connection: sa.engine.Connection) -> None:
        left[0] -= 1
        if left[0] == 0:
            kill_others(usual)

    sa.event.listen(bench.database.engine, moment, kill)
    staging.append(answers, Counts())
    assert bench.apply(ledger, ["agent_id"], answers).added == 2
    assert left[0] < 0
    assert {name: values[0][0] for name, values in bench.held()[0].items()} == {"ann": 7, "bob": 8}


def test_a_lock_ends_with_its_transaction_or_its_connection(usual: Database) -> None:
    bench = Bench()
    first, second = bench.database, database_of("warehouse")
    order: list[str] = []

    def wait() -> None:
        def work(connection: sa.engine.Connection) -> None:
            second.dialect.lock(connection, "x")
            order.append("second has it")

        second.transaction(work)

    for end in ("commit", "rollback", "kill"):
        order.clear()
        thread = threading.Thread(target=wait)

        def hold(connection: sa.engine.Connection, end: str = end, thread: threading.Thread = thread) -> None:
            first.dialect.lock(connection, "y")
            first.dialect.lock(connection, "x")
            thread.start()
            time.sleep(0.3)
            order.append("first ends")
            if end == "rollback":
                raise CCError("on purpose")
            if end == "kill":
                own = connection.exec_driver_sql("SELECT connection_id()").scalar_one()
                usual.execute(f"KILL {own}")
                thread.join(10)
                raise CCError("on purpose")

        failure = pytest.raises(CCError, match=r"on purpose|[Cc]onnection")
        with nullcontext() if end == "commit" else failure:
            first.transaction(hold, tries=1)
        thread.join(10)
        assert order == ["first ends", "second has it"]
    assert usual.query("SELECT is_used_lock(sha2(concat_ws('.', database(), 'x'), 256))") == [(None,)]


def test_a_refused_password_is_sent_once(usual: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Recorder(usual.connection["port"])) as between:
        tell(monkeypatch, usual, port=between.port, password=PASSWORD)
        with pytest.raises(
            CCError, match=r"connection 'warehouse'\): .*Access denied for user 'cc'"
        ) as caught:
            Bench()
    assert between.connections == 1
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_quotes_no_value_of_arow(usual: Database) -> None:
    bench = Bench()
    bench.sync("one", {"o'neil' for key 'x": 1})
    copy = "INSERT INTO cc_agent SELECT * FROM cc_agent"
    with pytest.raises(CCError, match=r"Duplicate entry \*\*\* for key 'PRIMARY'") as caught:
        bench.database.transaction(lambda connection: connection.exec_driver_sql(copy))
    assert "neil" not in str(caught.value)


def test_a_query_that_is_not_read_to_its_end_is_in_nobodys_way(usual: Database) -> None:
    bench = Bench()
    bench.sync("one", {f"user{number}": number for number in range(3000)})
    rows = bench.database.stream("SELECT account FROM cc_agent WHERE account LIKE 'user%' -- :x")
    next(rows)
    assert bench.sync("two", {"user1": 7}).changed == 1
    rows.close()
    assert bench.sync("three", {"user1": 8}).changed == 1


# Tables


def test_what_a_failed_start_has_left_is_completed(usual: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement that makes a table commits, so the next attempt finds some of them."""
    database = database_of("warehouse")
    made: list[str] = []

    def fail(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("CREATE TABLE"):
            made.append(statement)
            if len(made) == 3:
                raise CCError("no more")

    sa.event.listen(database.engine, "before_cursor_execute", fail)
    monkeypatch.setattr("tests.sync.runs.database_of", lambda _: database)
    with pytest.raises(CCError, match="no more"):
        Bench()
    assert usual.tables() == {"cc_agent", "cc_agent_history"}
    monkeypatch.undo()
    tell(monkeypatch, usual)
    assert Bench().sync("one", {"ann": 1}).added == 1
    assert usual.tables() == set(ALL)
    indexes = "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = database()"
    assert {name for (name,) in usual.query(indexes)} == {
        "PRIMARY",
        "cc_agent_softphone_number",
        "cc_agent_history_softphone_number_valid_from",
        "cc_agent_reject_tenant_rejected_at",
    }


@pytest.fixture
def writer(usual: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Have Airflow connect as somebody who may read and write, and not create."""
    usual.execute(
        f"CREATE USER writer@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON warehouse.* TO writer@'127.0.0.1'",
    )
    tell(monkeypatch, usual, login="writer", password=PASSWORD)
    yield usual
    usual.execute("DROP USER writer@'127.0.0.1'")


def test_a_role_that_may_not_create_gets_the_statements(writer: Database) -> None:
    with pytest.raises(CCConfigError, match="CREATE command denied to user 'writer'") as caught:
        Bench()
    writer.execute(*str(caught.value).partition("privileges run: ")[2].split("; "))
    assert Bench().sync("one", {"ann": 1, "Ann": 2}).added == 2


def test_printed_statements_make_the_same_tables(writer: Database) -> None:
    command = ["-m", "airflow_provider_cc.sync.schema", "warehouse", "--history-table", "cc_agent_history"]
    printed = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout
    writer.execute(*re.findall("^CREATE .*(?=;$)", printed, re.MULTILINE))
    before = {name: writer.query(f"SHOW CREATE TABLE {name}") for name in ALL}
    writer.execute(
        "DROP DATABASE warehouse", "CREATE DATABASE warehouse", "GRANT ALL ON *.* TO writer@'127.0.0.1'"
    )
    assert Bench().sync("one", {"ann": 1, "Ann": 2}).added == 2
    assert {name: writer.query(f"SHOW CREATE TABLE {name}") for name in ALL} == before


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("MODIFY account VARCHAR(100) COLLATE utf8mb4_general_ci", "account is VARCHAR"),
        ("MODIFY account VARCHAR(100) COLLATE utf8mb4_bin", "account is VARCHAR"),  # "ann " would be "ann"
        ("MODIFY agent_status VARCHAR(64) CHARACTER SET latin1", "agent_status is VARCHAR"),
        ("CONVERT TO CHARACTER SET latin1", 'tenant is VARCHAR.* COLLATE "?latin1_swedish_ci"?, not VARCHAR'),
        ("MODIFY synced_at DATETIME NOT NULL", r"synced_at is DATETIME, not DATETIME\(6\)"),
        ("MODIFY synced_at VARCHAR(40) NOT NULL", "synced_at is VARCHAR"),
        ("MODIFY agent_id TEXT", "agent_id is TEXT.*, not INTEGER"),
        ("DROP COLUMN softphone_number", "softphone_number is missing"),
        ("DROP PRIMARY KEY", r"no unique key \(tenant, account\)"),
    ],
)
def test_a_table_that_does_not_fit_is_told_with_the_statements_that_change_it(
    usual: Database, statement: str, reason: str
) -> None:
    Bench().sync("one", {"ann": 1})
    usual.execute(f"ALTER TABLE cc_agent {statement}")
    with pytest.raises(CCConfigError, match=rf"Table cc_agent does not fit: .*{reason}") as caught:
        Bench()
    usual.execute(*str(caught.value).partition("different table: ")[2].split("; "))
    bench = Bench()
    assert bench.sync("two", {"ann": 1, "Ann": 2}).added == 1
    assert len(bench.held()[1]["ann"]) == 1


def test_a_table_with_times_in_utc_of_mariadbs_other_type_fits(usual: Database) -> None:
    """TIMESTAMP is converted from the session's time zone, which is UTC."""
    bench = Bench()
    columns = ("first_seen_at", "changed_at", "synced_at")
    usual.execute(*(f"ALTER TABLE cc_agent MODIFY {name} TIMESTAMP(6) NULL" for name in columns))
    bench = Bench()
    ledger, staging = bench.run("one", ["agent_id"])
    answer = row("ann", staging.now(), 1)
    staging.append([answer], Counts())
    bench.apply(ledger, ["agent_id"], [answer])
    assert bench.held()[0]["ann"][2] == answer.read_at


def test_lineage_names_tables_by_server_and_database(usual: Database) -> None:
    bench = Bench()
    counts = bench.sync("one", {"ann": 1})
    told = lineage("warehouse", rows_written(bench.tables, counts), "SELECT account FROM hr.person", [])
    server = f"mysql://127.0.0.1:{usual.connection['port']}"
    assert [(found.namespace, found.name) for found in told.inputs] == [(server, "hr.person")]
    names = ("cc_agent", "cc_agent_history", "cc_agent_reject", "cc_sync_run")
    assert [(found.namespace, found.name) for found in told.outputs] == [
        (server, f"warehouse.{name}") for name in names
    ]
    types = {field.name: field.type for field in told.outputs[0].facets["schema"].fields}
    assert (types["account"], types["synced_at"]) == ("VARCHAR(100)", "DATETIME(6)")
