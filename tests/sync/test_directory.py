"""The directory by evidence: every kind ends complete, or failed with how many are missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cc.exceptions import (
    CCBusinessError,
    CCConfigError,
    CCError,
    CCResponseError,
    CCTransientError,
)
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.simulator import Simulator
from tests.sync.support import DIRECTORY, INFO, MemoryStore, Start, connect, read


def expected(center: Simulator) -> dict[str, tuple[Any, ...]]:
    agents = map(center.agent, center.accounts())
    return {a.account: (a.agent_id, a.agent_type, a.softphone_number) for a in agents}


def once_on(page: int, change: Callable[[], object]) -> Callable[[int], None]:
    """Make a change when a page is asked for, the first time only."""
    done: list[int] = []

    def on_page(number: int) -> None:
        if number == page and not done:
            done.append(number)
            change()

    return on_page


def listed() -> tuple[set[str], str]:
    """Read the directory by the hook; return the accounts found, and how it failed."""
    found = set()
    try:
        for agent in CCManagementHook().query_agents():
            found.add(agent.account)
    except CCResponseError as error:
        return found, str(error)
    return found, ""


# Kinds of centers that are read completely

PAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "cut": {"max_page_size": 30, "larger_pages": "cut"},
    "cut to one line": {"max_page_size": 1, "larger_pages": "cut"},
    "cut, the rest on no page": {"max_page_size": 30, "larger_pages": "lost"},
    "refused": {"max_page_size": 30},
    "from 1": {"first_page": 1},
    "from 1, 0 empty": {"first_page": 1, "page_zero": "empty"},
    "from 1, 0 refused": {"first_page": 1, "page_zero": "refused"},
    "from 1, 0 refused, short pages": {"first_page": 1, "page_zero": "refused", "max_page_size": 50},
    "from 1, cut": {"first_page": 1, "max_page_size": 50, "larger_pages": "cut"},
    "from 1, 0 empty, cut": {
        "first_page": 1,
        "page_zero": "empty",
        "max_page_size": 50,
        "larger_pages": "cut",
    },
}
TOTALS: dict[str, dict[str, Any]] = {
    "lines": {},
    "text": {"directory_total": "text"},
    "page": {"directory_total": "page"},
    "zero": {"directory_total": "zero"},
    "absent": {"directory_omits": frozenset({"total"})},
}


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize(("full", "more"), [(0, 1), (1, 0), (2, 30)])
def test_every_kind_of_pages_and_total_is_read_completely(
    start: Start, pages: str, full: int, more: int
) -> None:
    agents = full * PAGES[pages].get("max_page_size", 100) + more
    center = start(agents, **PAGES[pages])
    for total, settings in TOTALS.items():
        center.settings.directory_total = settings.get("directory_total", "lines")
        center.settings.directory_omits = settings.get("directory_omits", frozenset())
        store = MemoryStore()

        counts = read(store)

        assert store.rows == expected(center), total
        assert (counts.requested, counts.unique, counts.synced) == (agents, agents, agents), total
        assert counts.duplicates == 0, total
        found = [agent.account for agent in CCManagementHook().query_agents()]
        assert found == list(center.accounts()), total


@pytest.mark.parametrize("omitted", [frozenset(), frozenset({"total"})])
def test_an_empty_directory_is_read(start: Start, store: MemoryStore, omitted: frozenset[str]) -> None:
    start(0, directory_omits=omitted)
    counts = read(store)
    assert (counts.unique, store.answers) == (0, {})


def test_pages_are_asked_for_side_by_side(start: Start, store: MemoryStore) -> None:
    center = start(2000)
    center.faults.latency = 0.1
    read(store)
    assert 8 < center.stats.max_concurrency <= 32
    assert center.stats.requests(DIRECTORY) == 21  # an empty one at the end


def test_without_a_total_few_pages_are_asked_for_in_vain(start: Start, store: MemoryStore) -> None:
    center = start(2050, directory_omits=frozenset({"total"}))
    center.faults.latency = 0.1
    read(store)
    assert center.stats.max_concurrency >= 8
    assert 22 <= center.stats.requests(DIRECTORY) <= 53


def test_the_extra_sets_the_page_size(
    start: Start, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = start(230, max_page_size=1000)
    connect(monkeypatch, center, page_size="200")
    read(store)
    assert center.stats.requests(DIRECTORY) == 2


@pytest.mark.parametrize("size", [0, "many", -5, 10_001])
def test_an_impossible_page_size_sends_nothing(
    start: Start, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, size: Any
) -> None:
    center = start()
    connect(monkeypatch, center, page_size=size)
    with pytest.raises(CCConfigError, match="page_size"):
        read(store)
    assert center.stats.requests() == 0


def test_a_refused_page_in_the_middle_ends_the_run(start: Start, store: MemoryStore) -> None:
    center = start(450, **TOTALS["absent"])

    def refuse(page: int) -> None:
        center.settings.max_page_size = 5 if page == 2 else 100

    center.on_directory_page = refuse
    center.settings.larger_pages = "refused"
    center.faults.errors, center.faults.only = {500: 0.3}, {DIRECTORY}
    with pytest.raises(CCBusinessError):
        read(store)


# Lines that move while the pages are read


def test_pages_that_overlap_are_read_to_their_end(start: Start, store: MemoryStore) -> None:
    center = start(directory_overlap=30)
    counts = read(store)
    assert store.rows == expected(center)
    assert (counts.unique, counts.duplicates) == (250, 90)


def test_pages_that_overlap_without_a_total_fail(start: Start, store: MemoryStore) -> None:
    start(directory_overlap=30, **TOTALS["absent"])
    with pytest.raises(CCResponseError, match="incomplete: 90 entries were on two pages"):
        read(store)


@pytest.mark.parametrize("total", ["lines", "absent", "page", "zero", "growing"])
def test_an_order_that_differs_from_page_to_page_fails(start: Start, store: MemoryStore, total: str) -> None:
    center = start(directory_order="by_page", **TOTALS.get(total, {"directory_total": total}))
    with pytest.raises(CCResponseError, match=r"incomplete: [1-9]\d* (of \d+ entries|entries were)"):
        read(store)
    found, again = listed()
    assert "incomplete" in again
    if total == "lines":
        assert f"incomplete: {250 - len(found)} of 250 entries are missing after 3 reads" in again
    assert center.stats.requests(DIRECTORY) >= 9


def test_an_order_that_differs_from_request_to_request_is_complete_or_fails(start: Start) -> None:
    start(110, directory_order="by_request")
    for _ in range(5):
        found, failure = listed()
        assert failure.startswith(f"{DIRECTORY}: incomplete: {110 - len(found)} of 110") == (len(found) < 110)


def test_removals_while_paging_lose_nobody(start: Start, store: MemoryStore) -> None:
    center = start(450)

    def leave() -> None:
        for account in list(center.accounts())[:30]:
            center.remove_agent(account)

    center.on_directory_page = once_on(2, leave)
    counts = read(store)

    assert store.rows.keys() >= set(center.accounts())
    assert counts.unique == counts.synced == 450


def test_arrivals_while_paging_lose_nobody(start: Start, store: MemoryStore) -> None:
    center = start(450)
    for account in list(center.accounts())[:120]:
        center.remove_agent(account)

    def arrive() -> None:
        for number in range(120):
            center.add_agent(f"agent{number:06d}")

    center.on_directory_page = once_on(2, arrive)
    read(store)
    assert store.rows == expected(center)


def test_a_value_that_changes_between_two_passes_is_the_later_one(start: Start, store: MemoryStore) -> None:
    center = start()

    def change() -> None:
        center.remove_agent("agent000000")
        center.change_agent("agent000005", softphone_number="555")

    center.on_directory_page = once_on(1, change)
    counts = read(store)

    assert store.rows["agent000005"][2] == "555"
    assert store.replaced == {"agent000005"}
    assert (counts.unique, counts.synced) == (250, 250)


def test_a_directory_that_grows_with_every_page_is_read(start: Start) -> None:
    center = start()
    names = iter(range(1000))
    center.on_directory_page = lambda _: center.add_agent(f"newcomer{next(names)}")
    found, failure = listed()
    assert (len(found), failure) == (259, "")


@pytest.mark.parametrize("total", ["growing", "shrinking"])
def test_a_total_that_differs_each_time_is_never_short_and_green(start: Start, total: str) -> None:
    center = start(directory_total=total)
    found, failure = listed()
    assert not failure or "entries are missing after 3 reads" in failure
    assert found == set(center.accounts())


def test_a_total_that_is_too_large_fails(start: Start, store: MemoryStore) -> None:
    center = start()
    center.settings.directory_omits = frozenset({"data"})
    with pytest.raises(CCResponseError, match="250 of 250 entries are missing after 3 reads"):
        read(store)


def test_page_numbers_that_are_ignored_fail(start: Start, store: MemoryStore) -> None:
    start(directory_overlap=100, **TOTALS["absent"])
    with pytest.raises(CCResponseError, match="repeated_page"):
        read(store)


def test_page_numbers_that_are_ignored_do_no_harm_where_one_page_has_all(
    start: Start, store: MemoryStore
) -> None:
    center = start(100, directory_overlap=100)
    read(store)
    assert store.rows == expected(center)


# Odd lines


def line(account: str, **values: Any) -> dict[str, Any]:
    return {"userAccount": account, "workNo": 7, "agentType": 4, "sipAccount": "70", **values}


def twin(center: Simulator, account: str, **values: Any) -> dict[str, Any]:
    agent = center.agent(account)
    own = {
        "workNo": agent.agent_id,
        "agentType": agent.agent_type,
        "sipAccount": agent.softphone_number,
    }
    return line(account, **{**own, **values})


@pytest.mark.parametrize("total", ["lines", "absent"])
@pytest.mark.parametrize("place", [4, 150])
def test_a_line_that_is_listed_twice_is_a_duplicate(
    start: Start, store: MemoryStore, place: int, total: str
) -> None:
    center = start(**TOTALS[total])
    center.settings.directory_also = {place: twin(center, "agent000003")}
    counts = read(store)
    assert store.rows == expected(center)
    assert (counts.requested, counts.unique, counts.duplicates) == (251, 250, 1)
    assert center.stats.requests(DIRECTORY) <= 7


@pytest.mark.parametrize("place", [4, 150])
def test_an_account_with_two_different_lines_is_ambiguous(
    start: Start, store: MemoryStore, place: int
) -> None:
    center = start()
    center.settings.directory_also = {place: twin(center, "agent000003", sipAccount="71")}
    counts = read(store)
    assert store.rejects == {"agent000003": (DIRECTORY, "ambiguous")}
    assert (counts.requested, counts.unique, counts.synced, counts.rejected) == (250, 250, 249, 1)
    assert len(list(CCManagementHook().query_agents())) == 251


@pytest.mark.parametrize("place", [4, 150])
def test_the_line_that_comes_alone_counts(start: Start, store: MemoryStore, place: int) -> None:
    center = start()
    center.settings.directory_also = {place: twin(center, "agent000003", sipAccount="71")}
    own = {"resultCode": "0", "data": [twin(center, "agent000003", sipAccount="72")]}
    center.faults.overrides = {"agent000003": (200, own)}
    counts = read(store)
    assert store.rows["agent000003"][2] == "72"
    assert store.replaced == {"agent000003"}
    assert (counts.synced, counts.rejected) == (250, 0)


def test_two_different_lines_of_which_one_is_no_agent(start: Start, store: MemoryStore) -> None:
    center = start(20)
    center.settings.directory_also = {9: twin(center, "agent000003", agentType=255)}
    own = {"resultCode": "0", "data": [twin(center, "agent000003", agentType=255)]}
    center.faults.overrides = {"agent000003": (200, own)}
    counts = read(store)
    assert store.rejects == {"agent000003": (DIRECTORY, "no_agent")}
    assert (counts.synced, counts.rejected, counts.skipped) == (19, 1, 0)


def test_lines_that_are_no_agents_are_skipped(start: Start, store: MemoryStore) -> None:
    center = start(20)
    center.settings.directory_also = {
        3: line("supervisor", workNo="", agentType=4),
        9: line("idle", agentType=255),
        11: {"userAccount": "nothing"},
    }
    counts = read(store)
    assert store.rows == expected(center)
    assert (counts.requested, counts.unique, counts.synced, counts.rejected, counts.skipped) == (
        23,
        23,
        20,
        0,
        3,
    )


def test_a_directory_without_agent_ids_has_them_asked_for(start: Start, store: MemoryStore) -> None:
    center = start(60, directory_omits=frozenset({"workNo", "total"}))
    center.faults.latency = 0.02
    read(store)
    assert store.rows == expected(center)
    assert center.stats.requests(INFO) == 60
    assert center.stats.max_concurrency > 10


def test_a_line_that_cannot_be_read_is_a_reject(start: Start, store: MemoryStore) -> None:
    center = start(20)
    center.settings.directory_also = {3: line("odd", workNo=[1]), 5: line("", workNo=3)}
    counts = read(store)
    assert store.rows == expected(center)
    assert store.rejects == {
        "odd": (DIRECTORY, "unexpected_format"),
        "(page 0, entry 6)": (DIRECTORY, "unexpected_format"),
    }
    assert (counts.unique, counts.rejected) == (22, 2)


def test_accounts_in_another_letter_case_are_two_accounts(start: Start, store: MemoryStore) -> None:
    center = start(20)
    center.add_agent("Agent000003", agent_id=77, agent_type=4, softphone_number="1")
    counts = read(store)
    assert store.rows == expected(center)
    assert counts.duplicates == 0


def test_all_quirks_together(start: Start, store: MemoryStore) -> None:
    center = start(230, first_page=1, max_page_size=50, larger_pages="cut", directory_total="page")
    center.settings.directory_also = {
        3: twin(center, "agent000002"),
        120: twin(center, "agent000000"),
        60: twin(center, "agent000009", sipAccount="71"),
        61: line("idle", agentType=255),
    }
    counts = read(store)
    assert store.rows.keys() == set(center.accounts()) - {"agent000009"}
    assert (counts.unique, counts.rejected, counts.skipped, counts.duplicates) == (231, 1, 1, 2)


# Accounts that have an active row and are not listed


@pytest.fixture
def synced(start: Start, store: MemoryStore) -> Simulator:
    """Give a center whose agents are all in the table."""
    center = start(12)
    read(store)
    store.apply()
    center.stats.reset()
    return center


def test_who_is_gone_is_confirmed_by_a_query_of_its_own(synced: Simulator, store: MemoryStore) -> None:
    synced.remove_agent("agent000003")
    synced.remove_agent("agent000004")
    counts = read(store)
    assert store.outcomes("gone") == {"agent000003", "agent000004"}
    assert dict(synced.stats.accounts) == {"agent000003": 1, "agent000004": 1}
    assert (counts.unique, counts.synced, counts.rejected, counts.unconfirmed) == (10, 10, 0, 0)
    assert {store.answers[account].code for account in store.outcomes("gone")} == {""}


ELSE = {"resultCode": "0", "total": 1, "data": [{"userAccount": "agent000004", "workNo": 7}]}
EVERYBODY = {"resultCode": "0", "total": 2, "data": [{"userAccount": "a"}, {"userAccount": "b"}]}
NOTHING_OF_MANY = {"resultCode": "0", "total": 12, "data": []}
OTHER_CASE = {"resultCode": "0", "total": 1, "data": [{"userAccount": "AGENT000003", "workNo": 7}]}


@pytest.mark.parametrize(
    "reply",
    [
        (500, ""),
        (404, ""),
        (401, ""),
        (403, ""),
        (200, "<html>"),
        (200, {"resultCode": "1"}),
        (200, {}),
        (200, ELSE),
        (200, EVERYBODY),
        (200, NOTHING_OF_MANY),
        (200, OTHER_CASE),
    ],
)
def test_what_is_not_confirmed_stays_open(synced: Simulator, store: MemoryStore, reply: Any) -> None:
    synced.remove_agent("agent000003")
    synced.faults.overrides = {"agent000003": reply}
    counts = read(store)
    assert store.outcomes("gone") == set()
    assert (counts.unconfirmed, counts.unique, counts.synced) == (1, 11, 11)


@pytest.mark.parametrize("kind", ["ignored", "first_line"])
def test_a_filter_that_is_ignored_confirms_nothing(synced: Simulator, store: MemoryStore, kind: Any) -> None:
    synced.remove_agent("agent000003")
    synced.settings.directory_filter = kind
    assert read(store).unconfirmed == 1
    assert store.outcomes("gone") == set()


def test_one_refused_lookup_does_not_stop_the_others(synced: Simulator, store: MemoryStore) -> None:
    synced.remove_agent("agent000003")
    synced.remove_agent("agent000004")
    synced.faults.overrides = {"agent000003": (403, "")}
    counts = read(store)
    assert store.outcomes("gone") == {"agent000004"}
    assert counts.unconfirmed == 1


def test_who_is_no_agent_any_longer_is_closed(synced: Simulator, store: MemoryStore) -> None:
    synced.change_agent("agent000003", agent_type=255)
    counts = read(store)
    assert store.outcomes("gone") == {"agent000003"}
    assert (counts.unique, counts.synced, counts.skipped) == (12, 11, 1)


def test_who_was_missed_is_read(synced: Simulator, store: MemoryStore) -> None:
    """One leaves as another comes: the total stays, yet a line has moved to a page that was read before."""
    for number in range(12, 250):
        synced.add_agent(f"person{number}")
    read(store)
    store.apply()

    def swap() -> None:
        synced.remove_agent("agent000000")
        synced.add_agent("newcomer")

    synced.on_directory_page = once_on(1, swap)
    counts = read(store)
    assert store.rows.keys() >= set(synced.accounts()) - {"newcomer"}
    assert counts.unique == counts.synced


def test_nobody_is_closed_if_not_wanted(synced: Simulator, store: MemoryStore) -> None:
    synced.remove_agent("agent000003")
    read(store, close_missing=False)
    assert store.outcomes("gone") == set()
    assert dict(synced.stats.accounts) == {}


@pytest.mark.parametrize("leavers", [7, 12])
def test_a_short_directory_fails_before_anybody_is_asked_for(
    synced: Simulator, store: MemoryStore, leavers: int
) -> None:
    for account in list(synced.accounts())[:leavers]:
        synced.remove_agent(account)
    with pytest.raises(CCError, match=f"Directory returned {12 - leavers} accounts, below the minimum of 6"):
        read(store)
    assert dict(synced.stats.accounts) == {}
    read(MemoryStore(store.active), min_snapshot_ratio=0.0)


def test_too_many_closed_at_once_fail_even_if_others_came(synced: Simulator, store: MemoryStore) -> None:
    for account in list(synced.accounts())[:7]:
        synced.remove_agent(account)
    for number in range(20):
        synced.add_agent(f"new{number}")
    with pytest.raises(
        CCError, match=r"7 of 12 active accounts no longer exist, more than min_snapshot_ratio=0\.5"
    ):
        read(store)


def test_a_directory_that_has_stopped_answering_is_not_asked_for_everybody(
    start: Start, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.001)
    center = start(1000)
    leavers = list(center.accounts())[:400]
    store.active = set(center.accounts())
    for account in leavers:
        center.remove_agent(account)
    center.faults.overrides = dict.fromkeys(leavers, (503, ""))
    with pytest.raises(CCTransientError, match="32 calls in a row failed"):
        read(store)
    assert len(center.stats.accounts) < 80
