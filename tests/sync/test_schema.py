"""Tables that are there: their rights, types, keys and indexes, and those of the release before."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.columns import AGENT_COLUMNS
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import database_of
from airflow_provider_cc.sync.rehearsal import rehearsal
from airflow_provider_cc.sync.schema import COUNT_COLUMNS, define
from airflow_provider_cc.sync.views import create_views
from tests.docs.pages import section
from tests.sync.runs import Bench
from tests.transfers.database import TABLES, Database

ALL = (*TABLES, "cc_agent_stage")
#: The tables as the release before this one made them.
FORMER = (
    "CREATE TABLE cc_agent (tenant VARCHAR(250) NOT NULL, account VARCHAR(100) NOT NULL, agent_id INTEGER,"
    " agent_type INTEGER, agent_status VARCHAR(64), softphone_number VARCHAR(64), is_active BOOLEAN NOT NULL,"
    " first_seen_at {time} NOT NULL, changed_at {time} NOT NULL, synced_at {time} NOT NULL,"
    " PRIMARY KEY (tenant, account))",
    "CREATE TABLE cc_agent_history (tenant VARCHAR(250) NOT NULL, account VARCHAR(100) NOT NULL,"
    " valid_from {time} NOT NULL, valid_to {time}, agent_id INTEGER, agent_type INTEGER,"
    " agent_status VARCHAR(64), softphone_number VARCHAR(64), PRIMARY KEY (tenant, account, valid_from))",
    "CREATE TABLE cc_agent_reject (dag_id VARCHAR(250) NOT NULL, task_id VARCHAR(250) NOT NULL,"
    " run_id VARCHAR(250) NOT NULL, map_index INTEGER NOT NULL, tenant VARCHAR(250) NOT NULL,"
    " account TEXT NOT NULL, endpoint VARCHAR(100) NOT NULL, code VARCHAR(100) NOT NULL,"
    " message TEXT NOT NULL, rejected_at {time} NOT NULL)",
    "CREATE TABLE cc_sync_run (dag_id VARCHAR(250) NOT NULL, task_id VARCHAR(250) NOT NULL,"
    " run_id VARCHAR(250) NOT NULL, map_index INTEGER NOT NULL, tenant VARCHAR(250) NOT NULL,"
    " started_at {time} NOT NULL, finished_at {time}, source VARCHAR(100) NOT NULL,"
    " requested INTEGER NOT NULL, duplicates INTEGER NOT NULL, unique_accounts INTEGER NOT NULL,"
    " synced INTEGER NOT NULL, added INTEGER NOT NULL, changed INTEGER NOT NULL, unchanged INTEGER NOT NULL,"
    " deactivated INTEGER NOT NULL, reactivated INTEGER NOT NULL, rejected INTEGER NOT NULL,"
    " resumed INTEGER NOT NULL, requests INTEGER NOT NULL, sign_ins INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " commits INTEGER NOT NULL, error TEXT,"
    " PRIMARY KEY (dag_id, task_id, run_id, map_index, tenant, started_at))",
)
_RUN = (
    "INSERT INTO cc_sync_run VALUES ('one', 't', 'r', -1, 'north', {began}, {ended}, 'accounts',"
    " 2, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0, 2, 1, 1, 1, NULL)"
)


def _former(database: Database) -> list[str]:
    time = "DATETIME" if database.kind == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    return [statement.format(time=time) for statement in FORMER]


def _at(database: Database, text: str) -> str:
    return f"'2026-01-0{text} 08:00:00.000000{'' if database.kind == 'sqlite' else '+00'}'"


@pytest.mark.parametrize("database", ["sqlite", "duckdb", "postgres"], indirect=True)
def test_tables_of_the_former_release_go_on(database: Database, warehouse: str) -> None:
    """Nothing is to be done: rows and versions stay, the ledger gets its new columns."""
    first, second, third = (_at(database, day) for day in "123")
    database.execute(
        *_former(database),
        f"INSERT INTO cc_agent VALUES ('north', 'ann', 1, 2, '0', '7', true, {first}, {second}, {third}),"
        f" ('north', 'bob', 2, 2, '0', '8', false, {first}, {second}, {second})",
        f"INSERT INTO cc_agent_history VALUES ('north', 'ann', {first}, {second}, 9, 2, '0', '7'),"
        f" ('north', 'ann', {second}, NULL, 1, 2, '0', '7'),"
        f" ('north', 'bob', {first}, {second}, 2, 2, '0', '8')",
        _RUN.format(began=first, ended=second),
        _RUN.format(began=third, ended="NULL"),  # killed under the former release: not taken up
    )
    before = Database.query(database, "SELECT account, agent_id, valid_from, valid_to FROM cc_agent_history")
    bench = Bench()
    counts = bench.sync("one", {"ann": 1, "bob": 2})
    assert (counts.unchanged, counts.reactivated) == (1, 1)
    agents, history = bench.held()
    assert agents["ann"][3].day == 2
    assert [version[2] is None for version in history["ann"]] == [False, True]
    assert [version[2] is None for version in history["bob"]] == [False, True]
    after = database.query("SELECT account, agent_id, valid_from, valid_to FROM cc_agent_history")
    assert set(before) < set(after)
    assert database.query("SELECT count(*) FROM cc_sync_run WHERE run_key IS NOT NULL") == [(1,)]


@pytest.fixture
def roles(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give a database with a role for writing and one for reading, neither of which owns anything."""
    postgres_database.execute(
        "CREATE ROLE writer LOGIN",
        "CREATE ROLE reader LOGIN",
        "GRANT USAGE ON SCHEMA public TO writer, reader",
    )
    yield postgres_database
    postgres_database.execute(
        "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "DROP ROLE writer", "DROP ROLE reader"
    )


def _as(role: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {**database.connection, "login": role}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))


def test_tables_made_beforehand_need_no_other_rights(
    roles: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as("cc", roles, monkeypatch)
    printed = subprocess.run(
        [
            sys.executable,
            "-m",
            "airflow_provider_cc.sync.schema",
            "warehouse",
            "--history-table",
            "cc_agent_history",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    statements = [line.rstrip(";") for line in printed.splitlines() if line.startswith("CREATE")]
    assert len(statements) == 9 + 4  # views
    assert roles.tables() == set()
    roles.execute(
        *statements,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(ALL)} TO writer",
        "GRANT SELECT ON cc_agent TO reader",
    )
    _as("writer", roles, monkeypatch)
    assert Bench().sync("one", {"ann": 1, "bob": 2}).added == 2
    changed = Bench().sync("two", {"ann": 3, "bob": None})
    assert (changed.changed, changed.deactivated) == (1, 1)
    _as("reader", roles, monkeypatch)
    database = database_of("warehouse")
    tables = define(AGENT_COLUMNS, "cc_agent", None, "cc_agent_reject", "cc_sync_run")
    copy, there = rehearsal(database, tables, AGENT_COLUMNS, "north")
    with copy.engine.connect() as connection:
        assert sorted(row.account for row in connection.execute(sa.select(there.agent))) == ["ann", "bob"]


def test_what_may_not_be_created_is_told_with_its_statements(
    roles: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles.execute(*_former(roles)[:2])
    _as("writer", roles, monkeypatch)
    with pytest.raises(CCConfigError, match="permission denied") as caught:
        Bench()
    statements = str(caught.value).partition("privileges run: ")[2].split("; ")
    assert [re.search(r"(TABLE|ON) (\w+)", text)[2] for text in statements] == [  # type: ignore[index]
        "cc_agent_reject",
        "cc_sync_run",
        "cc_agent_stage",
        "cc_agent_reject",
        "cc_agent_history",
        "cc_agent_history",
    ]
    roles.execute(*statements, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(ALL)} TO writer")
    assert Bench().sync("one", {"ann": 1}).added == 1


def test_a_missing_right_is_not_tried_again(roles: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _as("cc", roles, monkeypatch)
    Bench()
    roles.execute(f"GRANT SELECT ON {', '.join(ALL)} TO writer")
    _as("writer", roles, monkeypatch)
    bench = Bench()
    seen: list[str] = []
    sa.event.listen(bench.database.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    with pytest.raises(CCError, match=r"connection 'warehouse'\): permission denied for table"):
        bench.sync("one", {"ann": 1})
    assert sum(statement.startswith("DELETE") for statement in seen) == 1


@pytest.mark.parametrize(
    ("table", "statement", "reason"),
    [
        ("cc_agent", "ALTER TABLE cc_agent ALTER COLUMN synced_at TYPE TIMESTAMP", "synced_at is TIMESTAMP"),
        ("cc_agent", "ALTER TABLE cc_agent ALTER COLUMN agent_id TYPE TEXT", "agent_id is TEXT, not INTEGER"),
        ("cc_agent", "ALTER TABLE cc_agent DROP COLUMN agent_type", "agent_type is missing"),
        (
            "cc_agent_history",
            "ALTER TABLE cc_agent_history ALTER COLUMN valid_to TYPE TIMESTAMP",
            "valid_to is TIMESTAMP",
        ),
        (
            "cc_agent",
            "ALTER TABLE cc_agent DROP CONSTRAINT cc_agent_pkey",
            r"no unique key \(tenant, account\)",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_told_with_the_statements_that_change_it(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, table: str, statement: str, reason: str
) -> None:
    _as("cc", postgres_database, monkeypatch)
    Bench().sync("one", {"ann": 1})
    postgres_database.execute(statement)
    with pytest.raises(CCConfigError, match=rf"Table {table} does not fit: .*{reason}") as caught:
        Bench()
    postgres_database.execute(*str(caught.value).partition("different table: ")[2].split("; "))
    bench = Bench()
    assert bench.sync("two", {"ann": 1}).unchanged == 1
    assert len(bench.held()[1]["ann"]) == 1


def test_no_statement_reads_all_versions(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million versions and a million calls: neither the documented questions nor a sync scan them."""
    _as("cc", postgres_database, monkeypatch)
    bench = Bench()
    postgres_database.execute(
        "INSERT INTO cc_agent SELECT 'north', 'user' || a, a, 2, '0', '88' || a, true,"
        " now() - interval '20 d', now() - interval '10 d', now() - interval '1 d'"
        " FROM generate_series(1, 100000) a",
        "INSERT INTO cc_agent_history SELECT 'north', 'user' || a,"
        " now() - interval '20 d' + v * interval '1 d',"
        " CASE WHEN v < 10 THEN now() - interval '20 d' + (v + 1) * interval '1 d' END, a, 2, '0', '88' || a"
        " FROM generate_series(1, 100000) a, generate_series(1, 10) v",
        f"INSERT INTO cc_sync_run (dag_id, task_id, run_id, map_index, tenant, started_at, finished_at,"
        f" source, {', '.join(COUNT_COLUMNS.values())}, tries, commits, complete)"
        " SELECT 'd', 't', 'r', -1, 'cc_management_default', at, at + interval '9 min', 'directory',"
        f" {'0, ' * len(COUNT_COLUMNS)} 1, 1, true"
        " FROM generate_series(now() - interval '20 d', now(), interval '1 h') at",
        "CREATE TABLE call_log AS SELECT c AS call_id, ('88' || mod(c, 100000))::varchar AS softphone_number,"
        " now() - c * interval '1.7 s' AS started_at FROM generate_series(1, 1000000) c",
        "CREATE INDEX ON call_log (started_at)",
        "ANALYZE",
    )
    create_views(bench.database, bench.tables)
    of_a_minute = (
        "FROM call_log WHERE started_at BETWEEN now() - interval '61 min' AND now() - interval '1 h'"
    )
    call_agent = section("docs/attribution.md", "## The query").partition("AS\n")[2].partition("```")[0]
    questions = (
        "SELECT account FROM cc_agent WHERE softphone_number = '8877'",
        "SELECT account FROM cc_agent_history WHERE softphone_number = '8877' AND valid_from <= now()"
        " AND (valid_to > now() OR valid_to IS NULL)",
        "SELECT * FROM cc_agent_history WHERE tenant = 'north' AND account = 'user77' ORDER BY valid_from",
        "SELECT account FROM cc_agent_at WHERE softphone_number = '8877' AND valid_from <= now()"
        " AND valid_to > now()",
        call_agent.replace("FROM call_log", of_a_minute),
    )
    for question in questions:
        plan = "\n".join(row[0] for row in postgres_database.query("EXPLAIN " + question))
        assert not re.search("Seq Scan on (cc_agent|cc_agent_history|call_log) ", plan), plan

    plans: list[tuple[str, str]] = []

    def explain(connection: Any, cursor: Any, statement: str, values: Any, *rest: Any) -> None:
        if "cc_agent_history" in statement and not statement.startswith("EXPLAIN"):
            cursor.execute("EXPLAIN " + statement, values)
            plans.append((statement, "\n".join(row[0] for row in cursor.fetchall())))

    sa.event.listen(bench.database.engine, "before_cursor_execute", explain)
    for accounts in (100, 100_000):
        ledger, staging = bench.run(f"dag_{accounts}", ["agent_id"])
        answers = [
            Answer(
                f"user{number}",
                "row",
                staging.now() + timedelta(seconds=1),
                (number + accounts * (number % 100 == 0),),
            )
            for number in range(1, accounts + 1)
        ]
        staging.append(answers, Counts())
        counts = bench.apply(ledger, ["agent_id"], answers)
        assert counts.changed == accounts // 100
    assert len(plans) == 6
    for statement, plan in plans:
        assert "Seq Scan on cc_agent_history" not in plan, f"{statement}\n{plan}"
