"""The directory: who is listed is synced, who is gone is closed, and nobody is closed by mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Log, MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

HISTORY = "cc_agent_history"


def active(database: Database) -> set[str]:
    return {account for (account,) in database.query("SELECT account FROM cc_agent WHERE is_active")}


def closed(database: Database) -> set[str]:
    return {account for (account,) in database.query("SELECT account FROM cc_agent WHERE NOT is_active")}


def test_who_is_gone_is_closed(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    before = database.query("SELECT agent_id, softphone_number FROM cc_agent WHERE account = 'agent000003'")
    center.remove_agent("agent000003")

    counts = sync()

    assert (counts["synced"], counts["deactivated"], counts["unchanged"]) == (11, 1, 11)
    assert closed(database) == {"agent000003"}
    last = "SELECT agent_id, softphone_number FROM cc_agent WHERE account = 'agent000003'"
    assert database.query(last) == before


def test_who_is_closed_has_the_stamp_of_the_answer(center: Simulator, database: Database, sync: Sync) -> None:
    sync(history_table=HISTORY)
    center.remove_agent("agent000003")
    sync(history_table=HISTORY)

    first, second = database.query("SELECT started_at, finished_at FROM cc_sync_run ORDER BY started_at")
    ((seen, changed, synced),) = database.query(
        "SELECT first_seen_at, changed_at, synced_at FROM cc_agent WHERE account = 'agent000003'"
    )
    assert first[0] <= seen <= first[1]
    assert second[0] <= changed == synced <= second[1]
    versions = f"SELECT valid_from, valid_to FROM {HISTORY} WHERE account = 'agent000003'"
    assert database.query(versions) == [(seen, changed)]
    # Who was asked for last was not seen on a page of the same run.
    ((others,),) = database.query("SELECT MAX(synced_at) FROM cc_agent WHERE is_active")
    assert others <= changed


def test_who_is_closed_stays_closed(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    center.remove_agent("agent000003")
    sync()
    before = database.query("SELECT * FROM cc_agent WHERE account = 'agent000003'")

    counts = sync()

    assert counts["deactivated"] == 0
    assert database.query("SELECT * FROM cc_agent WHERE account = 'agent000003'") == before


def test_who_comes_back_is_reactivated(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    ann = center.agent("agent000003")
    center.remove_agent("agent000003")
    sync()
    center.add_agent("agent000003", agent_id=ann.agent_id, softphone_number="555")

    counts = sync()

    assert (counts["reactivated"], counts["changed"], counts["added"]) == (1, 0, 0)
    assert database.query("SELECT account FROM cc_agent WHERE softphone_number = '555' AND is_active") == [
        ("agent000003",)
    ]


@on_each_database
def test_more_than_a_thousand_are_closed(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(2300)
    sync()
    for account in list(center.accounts())[:1100]:
        center.remove_agent(account)

    counts = sync()

    assert (counts["deactivated"], counts["synced"]) == (1100, 1200)
    assert active(database) == set(center.accounts())


SOMEBODY_ELSE = {"resultCode": "0", "total": 1, "data": [{"userAccount": "agent000004", "workNo": 7}]}


@pytest.mark.parametrize(
    "reply",
    [
        (500, ""),
        (404, ""),
        (403, ""),
        (200, "<html>"),
        (200, {"resultCode": "1"}),
        (200, {}),
        (200, SOMEBODY_ELSE),
    ],
)
def test_what_is_no_clear_no_closes_nobody(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, log: Log, reply: tuple[int, Any]
) -> None:
    sqlite_sync()
    center.remove_agent("agent000003")
    center.faults.overrides = {"agent000003": reply}

    counts = sqlite_sync()

    assert (counts["deactivated"], counts["synced"], counts["unconfirmed"]) == (0, 11, 1)
    assert active(sqlite_database) == {f"agent{number:06d}" for number in range(12)}
    assert sqlite_database.query("SELECT account FROM cc_agent WHERE agent_id = 7") == []
    assert sqlite_database.query("SELECT unconfirmed FROM cc_sync_run ORDER BY started_at") == [(0,), (1,)]
    said = "1 accounts may no longer exist, but the directory did not confirm it; their rows stay open."
    assert said in log.messages


def test_nobody_is_closed_if_not_wanted(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    center.remove_agent("agent000003")
    center.stats.reset()

    counts = sync(deactivate_missing=False)

    assert (counts["deactivated"], closed(database)) == (0, set())
    assert dict(center.stats.accounts) == {}


# A directory that is suspiciously short


def test_a_short_directory_fails_and_changes_nothing(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync()
    for account in list(center.accounts())[:7]:
        center.remove_agent(account)
    center.change_agent("agent000011", agent_type=99)
    before = {name: database.dump()[name] for name in ("cc_agent", "cc_agent_reject")}

    with pytest.raises(CCError, match="Directory returned 5 accounts, below the minimum of 6"):
        sync()

    assert {name: database.dump()[name] for name in before} == before


def test_a_short_directory_passes_with_a_lower_ratio(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync()
    for account in list(center.accounts())[:7]:
        center.remove_agent(account)

    assert sync(min_snapshot_ratio=0.4)["deactivated"] == 7


def test_an_empty_directory_fails(center: Simulator, database: Database, sync: Sync) -> None:
    sync()
    for account in list(center.accounts()):
        center.remove_agent(account)

    with pytest.raises(CCError, match="Directory returned 0 accounts"):
        sync()

    assert len(active(database)) == 12


def test_closed_rows_do_not_count_in_the_ratio(center: Simulator, sqlite_sync: Sync) -> None:
    sqlite_sync()
    for account in list(center.accounts())[:6]:
        center.remove_agent(account)
    sqlite_sync()
    for account in list(center.accounts())[:3]:
        center.remove_agent(account)

    assert sqlite_sync()["deactivated"] == 3


# A directory that does not say how long it is


def test_a_directory_without_total_is_read_to_its_end(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(230, directory_omits=frozenset({"total"}))

    counts = sync()

    assert (counts["synced"], active(database)) == (230, set(center.accounts()))


def test_a_directory_without_total_closes_who_is_gone(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(120, directory_omits=frozenset({"total"}))
    sync()
    center.remove_agent("agent000003")

    assert sync()["deactivated"] == 1
    assert closed(database) == {"agent000003"}


def test_a_short_directory_without_total_closes_nobody(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(12, directory_omits=frozenset({"total"}))
    sync()
    for account in list(center.accounts())[:7]:
        center.remove_agent(account)

    with pytest.raises(CCError, match="Directory returned 5 accounts"):
        sync()

    assert len(active(database)) == 12


# A directory that changes while it is read


def once_on(page: int, change: Callable[[], object]) -> Callable[[int], None]:
    """Make a change when a page is asked for, the first time only."""
    done: list[int] = []

    def on_page(number: int) -> None:
        if number == page and not done:
            done.append(number)
            change()

    return on_page


def test_removals_while_paging_lose_nobody(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(450)
    sync()

    def leave() -> None:
        for account in list(center.accounts())[:30]:
            center.remove_agent(account)

    center.on_directory_page = once_on(2, leave)

    sync()
    center.on_directory_page = None

    assert active(database) >= set(center.accounts())
    sync()
    assert active(database) == set(center.accounts())


def test_removals_while_paging_lose_nobody_who_is_new(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(450)

    def leave() -> None:
        for account in list(center.accounts())[:30]:
            center.remove_agent(account)

    center.on_directory_page = once_on(2, leave)

    counts = sync()

    assert active(database) >= set(center.accounts())
    assert counts["unique"] == counts["synced"]


def test_arrivals_while_paging_lose_nobody(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(450)
    for account in list(center.accounts())[:120]:
        center.remove_agent(account)

    def arrive() -> None:
        for number in range(120):
            center.add_agent(f"agent{number:06d}")

    center.on_directory_page = once_on(2, arrive)

    sync()

    assert active(database) == set(center.accounts())


def test_comings_and_goings_on_every_page_close_nobody_by_mistake(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(450)
    sync()
    there = set(center.accounts())

    def on_page(number: int) -> None:
        if number:
            center.remove_agent(f"agent{number * 7:06d}")
            center.add_agent(f"agent{number * 7:06d}")
            center.remove_agent(f"agent{number * 11 + 200:06d}")
            center.add_agent(f"agent{number * 11 + 200:06d}")

    center.on_directory_page = on_page

    counts = sync()

    assert counts["deactivated"] == 0
    assert active(database) == there


def test_one_leaves_as_another_comes_and_nobody_known_is_lost(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    """The total stays, yet one line has moved to a page that was read before."""
    center = make_center(250)
    sync()

    def swap() -> None:
        center.remove_agent("agent000000")
        center.add_agent("newcomer")

    center.on_directory_page = once_on(1, swap)
    center.change_agent("agent000100", softphone_number="555")

    sync()

    assert active(database) >= set(center.accounts()) - {"newcomer"}
    assert database.query("SELECT softphone_number FROM cc_agent WHERE account = 'agent000100'") == [("555",)]


def test_one_leaves_as_another_comes_and_a_list_keeps_its_softphones(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(250)
    accounts = list(center.accounts())

    def swap() -> None:
        center.remove_agent("agent000000")
        center.add_agent("newcomer")

    center.on_directory_page = once_on(1, swap)

    sqlite_sync(accounts=accounts)

    numbers = dict(sqlite_database.query("SELECT account, softphone_number FROM cc_agent"))
    assert numbers["agent000100"] == center.agent("agent000100").softphone_number


def test_a_repeated_line_is_a_duplicate(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(150)

    def arrive() -> None:
        center.add_agent("agent000000")

    center.remove_agent("agent000000")
    center.on_directory_page = once_on(1, arrive)

    counts = sqlite_sync()

    assert counts["requested"] == counts["unique"] + counts["duplicates"]
    assert (counts["unique"], counts["synced"], counts["duplicates"]) == (150, 150, 1)
