"""The tables: made when absent, in any schema, and told apart from tables of another shape."""

from __future__ import annotations

import re

import pytest

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Sync
from tests.transfers.database import TABLES, Database, on_each_database, warehouses

HISTORY = "cc_agent_history"
KEY = "tenant VARCHAR(250), account VARCHAR(100)"
OLD_TABLES = {
    "cc_agent": f"CREATE TABLE cc_agent ({KEY}, note INTEGER, PRIMARY KEY (tenant, account))",
    HISTORY: f"CREATE TABLE {HISTORY} ({KEY}, valid_from TIMESTAMP, valid_to TIMESTAMP)",
    "cc_agent_reject": "CREATE TABLE cc_agent_reject (account VARCHAR(100))",
    "cc_sync_run": "CREATE TABLE cc_sync_run (dag_id VARCHAR(250), task_id VARCHAR(250))",
    "cc_agent_stage": "CREATE TABLE cc_agent_stage (run_key VARCHAR(32), read_at TIMESTAMP)",
}
ALL = {*TABLES, "cc_agent_stage"}


def statements(error: BaseException) -> list[str]:
    """Return the statements that an error has for a table that does not fit."""
    shown = r"^Table .+ does not fit: .+\. Run these statements, or use a different table: (.+)$"
    found = re.search(shown, str(error))
    assert found
    return found[1].split("; ")


@on_each_database
def test_absent_tables_are_made(center: Simulator, database: Database, sync: Sync) -> None:
    sync(history_table=HISTORY)

    assert database.tables() == ALL


def test_no_history_table_is_made_unless_wanted(center: Simulator, database: Database, sync: Sync) -> None:
    sync()

    assert database.tables() == ALL - {HISTORY}


@on_each_database
def test_tables_have_the_names_that_they_were_given(
    center: Simulator, database: Database, sync: Sync
) -> None:
    run_table = "Runs of CC"
    if database.connection["conn_type"] == "turso":
        run_table = run_table.lower()  # an update finds no other name there
    sync(table="who", history_table="was", reject_table="not_read", run_table=run_table)

    assert database.tables() == {"who", "who_stage", "was", "not_read", run_table}


@on_each_database
def test_tables_may_be_in_a_schema(center: Simulator, database: Database, sync: Sync) -> None:
    if database.kind == "sqlite":
        schema = "main"
    else:
        schema = "warehouse_2"
        database.execute(f"CREATE SCHEMA {schema}")
    names = {
        name: f"{schema}.{table}"
        for name, table in zip(("table", "history_table", "reject_table", "run_table"), TABLES, strict=True)
    }
    sync(**names)

    assert sync(**names, dry_run=True)["unchanged"] == 12
    assert sync(**names)["unchanged"] == 12
    for name in (*names.values(), f"{names['table']}_stage"):
        database.query(f"SELECT * FROM {name}")
    assert database.query(f"SELECT COUNT(*) FROM {names['history_table']}") == [(12,)]


def test_a_schema_that_does_not_exist_fails_soon(center: Simulator, postgres_sync: Sync) -> None:
    with pytest.raises(Exception, match="nowhere"):
        postgres_sync(table="nowhere.cc_agent")

    assert center.stats.requests() == 0


@on_each_database
def test_columns_of_ones_own_are_left_alone(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    database.execute("ALTER TABLE cc_agent ADD COLUMN note VARCHAR(20)")
    database.execute("UPDATE cc_agent SET note = 'mine' WHERE account = 'agent000003'")
    center.change_agent("agent000003", softphone_number="555")

    assert sync()["changed"] == 1

    assert database.query("SELECT account, softphone_number FROM cc_agent WHERE note = 'mine'") == [
        ("agent000003", "555")
    ]


@on_each_database
def test_the_statements_for_missing_columns_work(center: Simulator, database: Database, sync: Sync) -> None:
    """Each table is told in its turn."""
    database.execute(*OLD_TABLES.values())
    told = set()
    for _ in OLD_TABLES:
        with pytest.raises(CCConfigError, match=r"^Table \w+ does not fit: .* is missing") as caught:
            sync(history_table=HISTORY)
        told.add(str(caught.value).split()[1])
        database.execute(*statements(caught.value))

    assert center.stats.requests() == 0
    assert told == set(OLD_TABLES)
    assert sync(history_table=HISTORY)["added"] == 12


@on_each_database
def test_rows_from_before_a_column_was_added_are_taken_over(
    center: Simulator, database: Database, sync: Sync
) -> None:
    database.execute(
        OLD_TABLES["cc_agent"],
        "INSERT INTO cc_agent (tenant, account, note) VALUES ('cc_management_default', 'agent000003', 7)",
    )
    with pytest.raises(CCConfigError) as caught:
        sync(history_table=HISTORY)
    database.execute(*statements(caught.value))

    for counts in (sync(history_table=HISTORY, dry_run=True), sync(history_table=HISTORY)):
        assert (counts["synced"], counts["added"], counts["changed"]) == (12, 11, 1)
    ((agent_id, note, active, changed_at, synced_at),) = database.query(
        "SELECT agent_id, note, is_active, changed_at, synced_at FROM cc_agent WHERE account = 'agent000003'"
    )
    assert (agent_id, note, bool(active)) == (center.agent("agent000003").agent_id, 7, True)
    assert changed_at == synced_at is not None
    assert database.query(f"SELECT COUNT(*) FROM {HISTORY} WHERE valid_to IS NULL") == [(12,)]
    assert sync(history_table=HISTORY)["unchanged"] == 12


def test_a_column_in_other_letter_case_is_the_same(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    sqlite_sync()
    sqlite_database.execute("ALTER TABLE cc_agent RENAME COLUMN agent_type TO AGENT_TYPE")

    assert sqlite_sync()["unchanged"] == 12


@pytest.mark.parametrize("database", warehouses("sqlite", "duckdb", "postgres", "mariadb"), indirect=True)
def test_account_and_tenant_are_the_key(center: Simulator, database: Database, sync: Sync) -> None:
    """Snowflake does not enforce keys; tests/sync/test_snowflake.py shows how rows stay unique there."""
    sync(tenant="north")

    copy = "INSERT INTO cc_agent SELECT * FROM cc_agent WHERE account = 'agent000003'"
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        database.execute(copy)


@on_each_database
def test_text_columns_hold_the_longest_values_there_can_be(
    center: Simulator, database: Database, sync: Sync
) -> None:
    center.add_agent("é" * 64, agent_status="ß" * 64, softphone_number="9" * 64, agent_id=2**31 - 1)

    counts = sync(accounts=["é" * 64], tenant="t" * 250, run_id="r" * 250, task_id="k" * 250)

    assert counts["synced"] == 1
