"""The history has a version for every moment, and only one."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

ATTRIBUTES = ("agent_id", "agent_type", "agent_status", "softphone_number")
HISTORY = "cc_agent_history"
#: Who held a softphone at a moment; as the documentation has it.
HELD_BY = f"""
SELECT account FROM {HISTORY}
WHERE softphone_number = :softphone
  AND valid_from <= :moment AND (valid_to > :moment OR valid_to IS NULL)
"""
ANN = "agent000003"


def versions(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return the versions of each account in order: begin, end, attributes."""
    chains: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    names = ", ".join(ATTRIBUTES)
    for account, *version in database.query(
        f"SELECT account, valid_from, valid_to, {names} FROM {HISTORY} ORDER BY account, valid_from"
    ):
        chains[account].append(tuple(version))
    return chains


def spans(database: Database) -> list[tuple[datetime, datetime]]:
    """Return when each run began and ended."""
    sql = "SELECT started_at, finished_at FROM cc_sync_run ORDER BY started_at"
    return [(began, ended) for began, ended in database.query(sql)]


def is_within(moment: datetime, span: tuple[datetime, datetime]) -> bool:
    began, ended = span
    return began <= moment <= ended


def changed_at(database: Database) -> dict[str, datetime]:
    """Return when each row was last changed."""
    return dict(database.query("SELECT account, changed_at FROM cc_agent"))


def assert_agrees(database: Database) -> None:
    """Insist that the open versions are the active rows, and that no chain has a gap or an overlap."""
    names = ", ".join(ATTRIBUTES)
    table = {
        account: (bool(active), changed_at, values)
        for account, active, changed_at, *values in database.query(
            f"SELECT account, is_active, changed_at, {names} FROM cc_agent"
        )
    }
    chains = versions(database)
    assert set(chains) == set(table)
    for account, chain in chains.items():
        active, changed_at, values = table[account]
        begun, ended, *attributes = chain[-1]
        assert begun < ended if ended else active
        assert list(attributes) == values
        assert changed_at == (begun if active else ended)
        assert all(begun < ended for begun, ended, *_ in chain[:-1])
        for (_, end, *_), (begin, *_) in pairwise(chain):
            assert end is not None
            assert end <= begin


def test_a_first_version_begins_when_the_account_was_read(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(history_table=HISTORY)

    (run,) = spans(database)
    seen = dict(database.query("SELECT account, first_seen_at FROM cc_agent"))
    assert {name: (begin, end) for name, ((begin, end, *_),) in versions(database).items()} == {
        name: (moment, None) for name, moment in seen.items()
    }
    assert all(is_within(moment, run) for moment in seen.values())
    assert len(seen) == 12


def test_a_change_closes_one_version_and_opens_the_next(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(history_table=HISTORY)
    old = center.agent(ANN).softphone_number
    center.change_agent(ANN, softphone_number="555")

    sync(history_table=HISTORY)

    first, second = spans(database)
    moment = changed_at(database)[ANN]
    (before, after) = versions(database)[ANN]
    assert is_within(before[0], first)
    assert is_within(moment, second)
    assert (before[1], before[-1]) == (moment, old)
    assert (after[0], after[1], after[-1]) == (moment, None, "555")
    assert sum(map(len, versions(database).values())) == 13


def test_no_change_writes_no_version(center: Simulator, database: Database, sync: Sync) -> None:
    sync(history_table=HISTORY)
    before = database.dump()[HISTORY]

    sync(history_table=HISTORY)

    assert database.dump()[HISTORY] == before


def test_absence_is_a_gap_between_two_versions(center: Simulator, database: Database, sync: Sync) -> None:
    sync(history_table=HISTORY)
    ann = center.agent(ANN)
    center.remove_agent(ANN)
    sync(history_table=HISTORY)
    sync(history_table=HISTORY)
    center.add_agent(ANN, agent_id=ann.agent_id, softphone_number=ann.softphone_number)

    counts = sync(history_table=HISTORY)

    runs = spans(database)
    assert counts["reactivated"] == 1
    (begun, ended), (back, end) = (version[:2] for version in versions(database)[ANN])
    assert end is None
    assert all(is_within(moment, runs[number]) for moment, number in ((begun, 0), (ended, 1), (back, 3)))
    assert_agrees(database)


def test_a_version_keeps_what_the_source_does_not_deliver(
    center: Simulator, database: Database, sync: Sync
) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts, history_table=HISTORY)
    number = center.agent(ANN).softphone_number
    center.change_agent(ANN, agent_status="9", softphone_number="555")

    sync(accounts=accounts, softphones="none", history_table=HISTORY)

    _, latest = versions(database)[ANN]
    assert latest[-2:] == ("9", number)
    assert_agrees(database)


def test_a_reject_leaves_the_open_version_open(center: Simulator, database: Database, sync: Sync) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts, history_table=HISTORY)
    before = database.dump()[HISTORY]
    center.faults.overrides = {ANN: (500, "")}

    assert sync(accounts=accounts, history_table=HISTORY)["rejected"] == 1

    assert database.dump()[HISTORY] == before


def test_history_can_be_switched_on_later(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    center.change_agent(ANN, softphone_number="555")
    center.remove_agent("agent000004")
    center.add_agent("newcomer")

    sync(history_table=HISTORY)

    first, second = spans(database)
    moments = changed_at(database)
    assert {account: [version[:2] for version in chain] for account, chain in versions(database).items()} == {
        account: [(moments[account], None)] for account in center.accounts()
    }
    new = {ANN, "newcomer"}
    for account in center.accounts():
        assert is_within(moments[account], second if account in new else first)


def test_history_can_be_switched_off_for_a_while(center: Simulator, database: Database, sync: Sync) -> None:
    sync(history_table=HISTORY)
    old = center.agent(ANN).softphone_number
    center.change_agent(ANN, softphone_number="555")
    sync()

    counts = sync(history_table=HISTORY)

    assert counts["changed"] == 0
    first, second, _ = spans(database)
    moment = changed_at(database)[ANN]
    before, after = versions(database)[ANN]
    assert is_within(before[0], first)
    assert is_within(moment, second)
    assert (before[1], before[-1]) == (moment, old)
    assert (after[0], after[1], after[-1]) == (moment, None, "555")
    assert_agrees(database)
    assert sum(map(len, versions(database).values())) == 13


def test_who_was_closed_while_history_was_off_is_closed_in_it_later(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(history_table=HISTORY)
    center.remove_agent(ANN)
    sync()

    sync(history_table=HISTORY)

    assert_agrees(database)
    ended = versions(database)[ANN][-1][1]
    assert ended == changed_at(database)[ANN]
    assert is_within(ended, spans(database)[1])


@on_each_database
def test_who_held_a_softphone_at_a_moment(center: Simulator, database: Database, sync: Sync) -> None:
    number = center.agent(ANN).softphone_number
    sync(history_table=HISTORY)
    center.change_agent(ANN, softphone_number="555")
    sync(history_table=HISTORY)
    center.change_agent("agent000004", softphone_number=number)
    sync(history_table=HISTORY)

    def holders(moment: datetime) -> list[str]:
        when = moment.replace(tzinfo=None) if database.kind == "sqlite" else moment
        if database.kind == "sqlite":
            when = when.isoformat(" ", "microseconds")
        return [name for (name,) in database.query(HELD_BY, softphone=number, moment=when)]

    first, second, third = spans(database)
    begun, lost = (version[0] for version in versions(database)[ANN])
    gained = changed_at(database)["agent000004"]
    instant = timedelta(microseconds=1)
    assert [holders(moment) for moment in (begun, first[1], second[0], lost - instant)] == [[ANN]] * 4
    assert [holders(moment) for moment in (lost, second[1], third[0], gained - instant)] == [[]] * 4
    assert [holders(moment) for moment in (gained, third[1])] == [["agent000004"]] * 2


def test_two_tenants_have_a_history_each(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(3)
    sync(history_table=HISTORY, tenant="north")
    sync(history_table=HISTORY, tenant="south")
    center.change_agent("agent000001", softphone_number="555")

    sync(history_table=HISTORY, tenant="south")

    rows = database.query(f"SELECT tenant, COUNT(*) FROM {HISTORY} GROUP BY tenant ORDER BY tenant")
    assert rows == [("north", 3), ("south", 4)]
    closed = database.query(f"SELECT tenant, account FROM {HISTORY} WHERE valid_to IS NOT NULL")
    assert closed == [("south", "agent000001")]


@on_each_database
def test_no_gap_and_no_overlap_in_any_series_of_changes(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    """Change, remove and bring back at random; every run, from either source, leaves a sound history."""
    chance = random.Random(1)  # noqa: S311
    center = make_center(10)
    everybody = list(center.accounts())
    truth: list[dict[str, str]] = []
    for _ in range(3 if database.kind == "duckdb" else 6):  # reopened for every transaction, it is slow
        for account in chance.sample(everybody, 4):
            if account not in set(center.accounts()):
                center.add_agent(account, softphone_number=str(chance.randrange(100, 105)))
            elif chance.random() < 0.4:
                center.remove_agent(account)
            else:
                center.change_agent(
                    account,
                    softphone_number=str(chance.randrange(100, 105)),
                    agent_type=chance.choice([4, 5]),
                    agent_status=chance.choice("012"),
                )
        # A removed account is closed by either source: the directory no longer lists it.
        source = {"accounts": everybody} if chance.random() < 0.5 else {}
        sync(history_table=HISTORY, chunk_size=3, max_rejects=1.0, min_snapshot_ratio=0.0, **source)
        truth.append({account: center.agent(account).softphone_number for account in center.accounts()})
        assert_agrees(database)

    chains = versions(database)
    for (_, moment), numbers in zip(spans(database), truth, strict=True):
        then = {
            account: number
            for account, chain in chains.items()
            for begin, end, *_, number in chain
            if begin <= moment and (end is None or end > moment)
        }
        assert then == numbers
