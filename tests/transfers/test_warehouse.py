"""What a run leaves in the database: true stamps, a ledger that adds up, nothing touched in vain."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

HISTORY = "cc_agent_history"
COUNTS = (
    "requested",
    "duplicates",
    "synced",
    "added",
    "changed",
    "unchanged",
    "deactivated",
    "reactivated",
    "rejected",
    "resumed",
    "requests",
    "sign_ins",
    "throttled_seconds",
    "unconfirmed",
    "skipped",
)
LEDGER = f"SELECT unique_accounts, {', '.join(COUNTS)} FROM cc_sync_run ORDER BY started_at DESC"


def starts(database: Database) -> list[Any]:
    return [at for (at,) in database.query("SELECT started_at FROM cc_sync_run ORDER BY started_at")]


def span(database: Database, number: int) -> tuple[Any, Any]:
    """Return when a run began and ended, the first one being 0."""
    ledger = "SELECT started_at, finished_at FROM cc_sync_run ORDER BY started_at"
    began, ended = database.query(ledger)[number]
    return began, ended


def changes(counts: dict[str, Any]) -> dict[str, int]:
    names = ("added", "changed", "unchanged", "reactivated", "deactivated", "rejected")
    return {name: counts[name] for name in names if counts[name]}


# Differences


def test_a_second_run_of_unchanged_data_changes_nothing(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(history_table=HISTORY)
    attributes = "SELECT account, agent_id, agent_type, softphone_number, is_active, changed_at FROM cc_agent"
    before = sorted(database.query(attributes)), database.dump()[HISTORY]

    counts = sync(history_table=HISTORY)

    assert changes(counts) == {"unchanged": 12}
    assert (sorted(database.query(attributes)), database.dump()[HISTORY]) == before


def test_an_unchanged_row_is_stamped_and_nothing_else_is_written(
    center: Simulator, postgres_database: Database, postgres_sync: Sync
) -> None:
    """A trigger notes which columns an UPDATE names."""
    accounts = list(center.accounts())
    postgres_sync(accounts=accounts)
    watched = ("agent_id", "agent_type", "agent_status", "softphone_number", "is_active", "changed_at")
    postgres_database.execute(
        "CREATE TABLE seen (name TEXT, account TEXT)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO seen VALUES (TG_ARGV[0], NEW.account); RETURN NEW; END $$",
        *(
            f"CREATE TRIGGER on_{name} BEFORE UPDATE OF {name} ON cc_agent"
            f" FOR EACH ROW EXECUTE FUNCTION note('{name}')"
            for name in (*watched, "synced_at")
        ),
    )
    center.change_agent("agent000003", softphone_number="555")

    postgres_sync(accounts=accounts)

    seen = postgres_database.query("SELECT name, account FROM seen")
    assert {account for name, account in seen if name in watched} == {"agent000003"}
    assert sorted(account for name, account in seen if name == "synced_at") == accounts


@on_each_database
def test_one_of_each_kind_of_difference(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    center.remove_agent("agent000001")
    sync()
    center.add_agent("agent000001")
    center.add_agent("newcomer")
    center.change_agent("agent000002", softphone_number="555")
    center.remove_agent("agent000003")
    center.change_agent("agent000004", agent_id="odd")

    counts = sync()

    assert changes(counts) == {
        "added": 1,
        "changed": 1,
        "unchanged": 8,
        "reactivated": 1,
        "deactivated": 1,
        "rejected": 1,
    }


@on_each_database
def test_any_other_value_is_a_change(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    values = [("555", None), (None, "555"), ("555", "0555"), ("555", "٥٥٥"), ("a", "A"), ("7", "7")]
    center = make_center(len(values))
    for account, (before, _) in zip(center.accounts(), values, strict=True):
        center.change_agent(account, softphone_number=before)
    sync()
    for account, (_, after) in zip(center.accounts(), values, strict=True):
        center.change_agent(account, softphone_number=after)

    assert changes(sync()) == {"changed": 5, "unchanged": 1}
    numbers = database.query("SELECT softphone_number FROM cc_agent ORDER BY account")
    assert numbers == [(after,) for _, after in values]


# Stamps


def test_every_stamp_lies_within_its_run(center: Simulator, database: Database, sync: Sync) -> None:
    sync(history_table=HISTORY)
    center.change_agent("agent000003", softphone_number="555")
    sync(history_table=HISTORY)

    (first, first_end), (second, second_end) = span(database, 0), span(database, 1)
    rows = database.query("SELECT account, first_seen_at, changed_at, synced_at FROM cc_agent")
    assert len(rows) == 12
    for account, seen, changed, synced in rows:
        assert first <= seen <= first_end <= second <= synced <= second_end
        assert changed == (synced if account == "agent000003" else seen)


def test_a_stamp_is_when_the_answer_was_read(
    center: Simulator, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account after the other, by a center that takes its time."""
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= {"max_concurrency": 1}
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps(connection))
    center.faults.latency, center.faults.only = 0.2, {"queryAgentInfoByAccount"}
    accounts = list(center.accounts(limit=3))

    sync(accounts=accounts, softphones="none", history_table=HISTORY)

    began, ended = span(database, 0)
    rows = database.query("SELECT account, first_seen_at FROM cc_agent ORDER BY account")
    moments = [began, *(at for _, at in rows)]
    assert [account for account, _ in rows] == accounts
    assert all(later - earlier >= timedelta(seconds=0.2) for earlier, later in pairwise(moments))
    assert moments[-1] <= ended
    assert dict(database.query(f"SELECT account, valid_from FROM {HISTORY}")) == dict(rows)


def test_the_ledger_ends_after_it_starts(center: Simulator, database: Database, sync: Sync) -> None:
    sync()

    ((started, finished, error),) = database.query("SELECT started_at, finished_at, error FROM cc_sync_run")
    assert started <= finished <= started + timedelta(minutes=5)
    assert error is None


@on_each_database
def test_no_two_runs_share_a_stamp(center: Simulator, database: Database, sync: Sync) -> None:
    """Even if the database's clock has been set back meanwhile."""
    sync(accounts=[], run_id="again")
    future = "'2999-01-01 00:00:00.000000'"
    database.execute(f"UPDATE cc_sync_run SET started_at = {future}")

    for _ in range(3):
        sync(accounts=[], run_id="again")

    moments = starts(database)
    assert len(set(moments)) == 4
    assert all(moment.year == 2999 for moment in moments)


def test_a_later_stamp_is_never_overwritten(center: Simulator, database: Database, sync: Sync) -> None:
    """A later answer has been written: its row stays, changed, closed or not."""
    sync(history_table=HISTORY)
    database.execute(
        "UPDATE cc_agent SET synced_at = '2999-01-01 00:00:00.000000'"
        " WHERE account IN ('agent000001', 'agent000002', 'agent000003')"
    )
    later = "SELECT * FROM cc_agent WHERE account IN ('agent000001', 'agent000002', 'agent000003')"
    before = sorted(database.query(later)), database.dump()[HISTORY]
    center.change_agent("agent000001", softphone_number="555")
    center.remove_agent("agent000002")

    counts = sync(history_table=HISTORY)

    assert (sorted(database.query(later)), database.dump()[HISTORY]) == before
    assert changes(counts) == {"unchanged": 11}


# The ledger


@pytest.mark.parametrize("source", ["accounts", "directory"])
def test_ledger_tables_and_return_value_agree(
    make_center: MakeCenter, database: Database, sync: Sync, source: str
) -> None:
    center = make_center(150)
    codes = [*center.accounts(), "nobody", "", "agent000007"]
    arguments = {"accounts": codes} if source == "accounts" else {}
    sync(**arguments, chunk_size=40)
    center.remove_agent("agent000001")
    center.change_agent("agent000002", agent_type=99, softphone_number="555")
    center.add_agent("nobody")

    counts = sync(**arguments, chunk_size=40)

    assert database.query(LEDGER)[0] == (counts["unique"], *(counts[name] for name in COUNTS))
    zone = "" if database.kind == "sqlite" else "+00"
    began, ended = (f"'{at:%Y-%m-%d %H:%M:%S.%f}{zone}'" for at in span(database, 1))
    within = f"BETWEEN {began} AND {ended}"

    def number(sql: str) -> int:
        ((found,),) = database.query(sql)
        return int(found)

    assert counts["synced"] == number(f"SELECT COUNT(*) FROM cc_agent WHERE synced_at {within} AND is_active")
    assert counts["added"] == number(f"SELECT COUNT(*) FROM cc_agent WHERE first_seen_at {within}")
    assert counts["rejected"] == number(f"SELECT COUNT(*) FROM cc_agent_reject WHERE rejected_at = {began}")
    assert counts["deactivated"] == number(
        f"SELECT COUNT(*) FROM cc_agent WHERE changed_at {within} AND NOT is_active"
    )
    assert counts["requested"] == counts["unique"] + counts["duplicates"]
    assert counts["unique"] == counts["synced"] + counts["rejected"] + counts["skipped"]
    assert number("SELECT COUNT(*) FROM cc_agent_stage") == 0


def test_the_ledger_counts_what_the_center_counts(center: Simulator, database: Database, sync: Sync) -> None:
    counts = sync(accounts=list(center.accounts()))

    assert counts["sign_ins"] == center.stats.sign_ins() == 1
    assert counts["requests"] == center.stats.requests() - 1


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        ({"accounts": ["agent000001"]}, "accounts"),
        ({}, "directory"),
        ({"accounts_sql": "SELECT 'agent000001'"}, "accounts_sql"),
    ],
)
def test_the_ledger_names_the_source(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, arguments: dict[str, Any], source: str
) -> None:
    sqlite_sync(**arguments)

    assert sqlite_database.query("SELECT source FROM cc_sync_run") == [(source,)]


def test_a_failed_run_says_why_and_is_not_finished(center: Simulator, database: Database, sync: Sync) -> None:
    center.faults.refuse_sign_ins = {"management"}

    with pytest.raises(CCError):
        sync()

    ((finished, error),) = database.query("SELECT finished_at, error FROM cc_sync_run")
    assert finished is None
    assert error.startswith("tokenByAkSk: HTTP 403")
    assert database.query("SELECT * FROM cc_agent") == []


def test_a_finished_run_starts_anew_under_the_same_id(
    center: Simulator, database: Database, sync: Sync
) -> None:
    first = sync(run_id="again")
    second = sync(run_id="again")

    assert len(starts(database)) == 2
    assert (first["added"], second["unchanged"], second["resumed"]) == (12, 12, 0)


# Tenants


def test_two_tenants_with_the_same_accounts_do_not_meet(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    north = make_center(5)
    numbers = {account: north.agent(account).softphone_number for account in north.accounts()}
    sync(tenant="north")
    south = make_center(4, seed=8)

    counts = sync(tenant="south")

    assert (counts["added"], counts["deactivated"]) == (4, 0)
    rows = database.query(
        "SELECT account, softphone_number FROM cc_agent WHERE tenant = 'north' AND is_active"
    )
    assert dict(rows) == numbers
    rows = database.query(
        "SELECT account, softphone_number FROM cc_agent WHERE tenant = 'south' AND is_active"
    )
    assert dict(rows) == {account: south.agent(account).softphone_number for account in south.accounts()}


def test_without_a_tenant_the_connection_is_it(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    sqlite_sync()

    assert sqlite_database.query("SELECT DISTINCT tenant FROM cc_agent") == [("cc_management_default",)]
