"""A dry run changes nothing and says what a real one would do."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Log, MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

HISTORY = "cc_agent_history"


def change_the_center(center: Simulator) -> None:
    """One leaves, one comes, one changes."""
    center.remove_agent("agent000003")
    center.add_agent("newcomer", agent_id=700, agent_type=11, agent_status="1", softphone_number="555")
    center.change_agent("agent000004", agent_id=701, agent_type=4, softphone_number="556")


@on_each_database
def test_without_tables_none_is_made(center: Simulator, database: Database, sync: Sync) -> None:
    counts = sync(dry_run=True, history_table=HISTORY)

    assert database.tables() == set()
    assert (counts["added"], counts["synced"]) == (12, 12)


@pytest.mark.parametrize("source", ["accounts", "directory"])
def test_no_table_changes(center: Simulator, database: Database, sync: Sync, source: str) -> None:
    accounts = [*center.accounts(), "newcomer", "nobody", ""]
    arguments = {"accounts": accounts} if source == "accounts" else {}
    sync(history_table=HISTORY, **arguments)
    change_the_center(center)
    before = database.dump()

    counts = sync(dry_run=True, history_table=HISTORY, **arguments)

    assert database.dump() == before
    assert (counts["added"], counts["changed"], counts["deactivated"]) == (1, 1, 1)


@on_each_database
def test_the_real_run_then_does_what_was_said(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    change_the_center(center)
    before = database.dump()

    said = sync(dry_run=True)
    assert database.dump() == before
    done = sync()

    names = ("requested", "unique", "synced", "added", "changed", "unchanged", "deactivated", "rejected")
    assert [said[name] for name in names] == [done[name] for name in names]


def test_it_says_who_would_be_added_changed_and_deactivated(
    center: Simulator, sqlite_sync: Sync, log: Log
) -> None:
    sqlite_sync()
    old = center.agent("agent000004")
    change_the_center(center)
    new = center.agent("agent000004")

    sqlite_sync(dry_run=True)

    said = {message for message in log.messages if message.startswith("would")}
    changes = [
        f"{name} {getattr(old, name)} → {getattr(new, name)}"
        for name in ("agent_id", "agent_type", "softphone_number")
        if getattr(old, name) != getattr(new, name)
    ]
    assert said == {
        "would add newcomer: agent_id 700, agent_type 11, softphone_number 555",
        f"would change agent000004: {', '.join(changes)}",
        "would deactivate agent000003",
    }
    assert "Dry run: would add 1, change 1, reactivate 0 and deactivate 1 agents, and reject 0." in log.text


def test_it_says_who_would_be_reactivated(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    sqlite_sync()
    center.remove_agent("agent000003")
    sqlite_sync()
    center.add_agent("agent000003")

    counts = sqlite_sync(dry_run=True)

    assert counts["reactivated"] == 1
    assert [m for m in log.messages if m.startswith("would")] == [
        "would reactivate agent000003: no other change"
    ]


def test_it_says_which_account_codes_are_bad(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    sqlite_sync(accounts=[" padded\x1b", *center.accounts()], softphones="none", dry_run=True)

    said = [message for message in log.messages if message.startswith("would reject")]
    assert said == [
        r"would reject ' padded\x1b': account_code: the account code begins or ends with whitespace: "
        "TRIM it in the source"
    ]


def test_it_says_which_accounts_are_rejected_and_why(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    """A dry run writes no reject table that could be asked."""
    center.faults.overrides = {"agent000003": (500, "")}

    sqlite_sync(accounts=list(center.accounts()), softphones="none", dry_run=True)

    (said,) = (message for message in log.messages if message.startswith("would reject"))
    assert said.startswith("would reject agent000003: queryAgentInfoByAccount: ")


def test_it_shows_no_more_than_fifty_examples(
    make_center: MakeCenter, database: Database, sync: Sync, log: Log
) -> None:
    make_center(120)

    counts = sync(dry_run=True)

    assert counts["added"] == 120
    said = [message for message in log.messages if message.startswith("would")]
    assert [message.partition(":")[0] for message in said] == [
        f"would add agent{number:06d}" for number in range(50)
    ]


def test_what_it_says_cannot_forge_a_line(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    center.add_agent("a\nwould deactivate everybody")

    sqlite_sync(accounts=["a\nwould deactivate everybody"], softphones="none", dry_run=True)

    assert not any("\n" in message for message in log.messages)


def test_a_table_with_other_columns_is_an_error(center: Simulator, database: Database, sync: Sync) -> None:
    database.execute("CREATE TABLE cc_agent (tenant VARCHAR(250), account VARCHAR(100))")

    with pytest.raises(CCConfigError, match="ALTER TABLE"):
        sync(dry_run=True)

    assert database.tables() == {"cc_agent"}
    assert center.stats.requests() == 0


def test_it_needs_no_right_to_write(
    center: Simulator, postgres_database: Database, postgres_sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_sync()
    change_the_center(center)
    postgres_database.execute("ALTER ROLE cc SET default_transaction_read_only = on")
    try:
        counts = postgres_sync(dry_run=True)
    finally:
        postgres_database.execute(
            "SET TRANSACTION READ WRITE", "ALTER ROLE cc RESET default_transaction_read_only"
        )

    assert counts["changed"] == 1


def test_it_waits_for_nobody(center: Simulator, postgres_database: Database, postgres_sync: Sync) -> None:
    """Somebody else's open transaction holds a row."""
    postgres_sync()
    engine = sa.create_engine(postgres_database.url)
    with engine.begin() as other:
        other.exec_driver_sql("UPDATE cc_agent SET agent_type = agent_type")
        counts = postgres_sync(dry_run=True)
    engine.dispose()

    assert counts["unchanged"] == 12
