"""Asking for accounts: cheaply, side by side, in batches; one account's failure is its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCError,
    CCPermissionError,
    CCSignInUnavailable,
    CCTransientError,
)
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.answers import Answer
from airflow_provider_cc.sync.counts import Counts
from tests.sync.support import DIRECTORY, INFO, MemoryStore, Start, connect, read
from tests.variables import Variables

ANN = "agent000003"
PARAMS = "queryAgentLoginParams"


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try calls again after hundredths of a second."""
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.002)


def expected(center: Simulator, softphones: bool = True) -> dict[str, tuple[Any, ...]]:
    return {
        agent.account: (
            agent.agent_id,
            agent.agent_type,
            agent.agent_status,
            *([agent.softphone_number] if softphones else []),
        )
        for agent in map(center.agent, center.accounts())
    }


# How many requests


@pytest.mark.parametrize(
    ("omitted", "max_page_size", "wanted"),
    [
        (frozenset(), 100, 1),
        (frozenset(), 50, 3),
        (frozenset({"total"}), 100, 3),
        (frozenset({"total"}), 50, 1),
    ],
)
def test_few_accounts_of_a_long_directory_cost_few_requests(
    start: Start, store: MemoryStore, omitted: set[str], max_page_size: int, wanted: int
) -> None:
    center = start(50_000, directory_omits=omitted, max_page_size=max_page_size)
    accounts = [f"agent{number * 7001 + 400:06d}" for number in range(wanted)]

    counts = read(store, accounts)

    assert counts.requests <= counts.requests + counts.sign_ins == center.stats.requests() <= 10
    everybody = {account: center.agent(account) for account in accounts}
    assert {account: row[3] for account, row in store.rows.items()} == {
        account: agent.softphone_number for account, agent in everybody.items()
    }


def test_many_accounts_are_found_on_pages(start: Start, store: MemoryStore) -> None:
    center = start(950)
    counts = read(store, center.accounts())
    assert store.rows == expected(center)
    assert (center.stats.requests(INFO), center.stats.requests(DIRECTORY)) == (950, 10)
    assert (counts.requested, counts.unique, counts.synced) == (950, 950, 950)


@pytest.mark.parametrize(("wanted", "pages", "alone"), [(8, 1, 8), (12, 10, 0)])
def test_whichever_needs_fewer_requests_is_done(
    start: Start, store: MemoryStore, wanted: int, pages: int, alone: int
) -> None:
    center = start(950)
    read(store, [f"agent{949 - number:06d}" for number in range(wanted)])
    assert center.stats.requests(DIRECTORY) == pages + alone


def test_pages_end_when_the_rest_is_cheaper_alone(start: Start, store: MemoryStore) -> None:
    center = start(9500)
    read(store, [f"agent{number:06d}" for number in (*range(190), *range(9400, 9410))])
    assert len(store.rows) == 200
    assert center.stats.requests(DIRECTORY) == 2 + 10


def test_without_softphones_the_directory_is_not_asked(start: Start, store: MemoryStore) -> None:
    center = start(40)
    read(store, center.accounts(), softphones="none")
    assert store.rows == expected(center, softphones=False)
    assert center.stats.requests(DIRECTORY) == 0


def test_an_account_that_is_listed_with_different_values_is_ambiguous(
    start: Start, store: MemoryStore
) -> None:
    center = start(40)
    center.settings.directory_also = {9: {"userAccount": ANN, "workNo": 7, "agentType": 4}}
    read(store, center.accounts())
    assert store.rejects == {ANN: (DIRECTORY, "ambiguous")}
    assert len(store.rows) == 39


def test_an_account_whose_line_cannot_be_read_is_a_reject(start: Start, store: MemoryStore) -> None:
    center = start(40)
    center.change_agent(ANN, softphone_number="\x07")
    read(store, center.accounts())
    assert store.rejects == {ANN: (DIRECTORY, "unexpected_format")}


def test_a_center_that_ignores_letter_case_finds_the_softphone(start: Start, store: MemoryStore) -> None:
    center = start(40, letter_case="ignored")
    read(store, [ANN.upper(), "agent000004"])
    agent = center.agent(ANN)
    assert store.rows[ANN.upper()] == (
        agent.agent_id,
        agent.agent_type,
        agent.agent_status,
        agent.softphone_number,
    )


# Batches


class SlowStore(MemoryStore):
    """Lets nothing in until it is told to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.open = threading.Event()

    def append(self, answers: Sequence[Answer], spent: Counts, replaced: Collection[str] = ()) -> None:
        self.open.wait(timeout=20)
        super().append(answers, spent, replaced)


def test_at_most_two_batches_are_unwritten(start: Start) -> None:
    center, store = start(400), SlowStore()
    asked: list[int] = []

    def look() -> None:
        asked.append(center.stats.requests(INFO))
        store.open.set()

    timer = threading.Timer(2, look)
    timer.start()
    read(store, center.accounts(), softphones="none", chunk_size=50)

    assert 100 <= asked[0] <= 100 + 32
    assert store.rows == expected(center, softphones=False)
    assert [len(accounts) for accounts in store.batches if accounts] == [50] * 8


def test_answers_are_stamped_when_they_arrive(start: Start, store: MemoryStore) -> None:
    center = start(8)
    center.faults.slow_share, center.faults.slow_seconds = 0.5, 1.0
    center.faults.only = {INFO}
    began = datetime.now(UTC)
    read(store, center.accounts(), softphones="none")
    stamps = sorted(answer.read_at for answer in store.answers.values())
    assert began < stamps[0] < stamps[-1] - timedelta(seconds=0.8) < datetime.now(UTC)


@pytest.mark.parametrize("source", ["list", "directory"])
def test_a_later_attempt_asks_for_the_rest(start: Start, store: MemoryStore, source: str) -> None:
    center = start(400)
    codes = [*center.accounts(), " bad", None] if source == "list" else None
    store.dies_at = 3
    with pytest.raises(ConnectionAbortedError):
        read(store, codes, softphones="none", chunk_size=50)
    staged, before = store.staged(), {account: a.read_at for account, a in store.answers.items()}
    assert len(staged) == 150
    center.stats.reset()
    store.dies_at, store.spent = None, Counts()

    counts = read(store, codes, staged, softphones="none", chunk_size=50)

    bad = 2 if source == "list" else 0
    assert len(store.rows) == 400
    assert {account: store.answers[account].read_at for account in before} == before
    assert (counts.resumed, counts.requested, counts.unique) == (150, 400 + bad, 400 + bad)
    assert (counts.synced, counts.rejected) == (400, bad)
    # By the client: the center may still be reading what the killed attempt had sent.
    assert counts.requests == 252 if source == "list" else center.stats.requests(INFO) == 0
    assert not store.replaced


def test_what_an_earlier_attempt_has_read_counts_if_the_source_lacks_it(
    start: Start, store: MemoryStore
) -> None:
    start(12)
    for codes in (["agent000001"], None):
        counts = read(MemoryStore(), codes, [("left", "row"), ("refused", "reject")])
        assert (counts.resumed, counts.unique - counts.rejected) == (2, 2 if codes else 13)
        assert counts.synced == counts.unique - 1


def test_who_was_gone_in_an_earlier_attempt_may_be_back(start: Start, store: MemoryStore) -> None:
    center = start(12)
    store.active = set(center.accounts())
    staged = [(ANN, "gone"), ("other", "gone")]
    now = store.now()
    store.answers = {account: Answer(account, outcome, now) for account, outcome in staged}
    counts = read(store, None, staged)
    assert store.outcomes("gone") == {"other"}
    assert store.replaced == {ANN}
    assert (counts.unique, counts.synced, counts.resumed) == (12, 12, 0)


# One account's failure


FAILURES: list[tuple[tuple[int, Any], str]] = [
    ((401, ""), "HTTP 401"),
    ((403, {"error_msg": "x"}), "HTTP 403"),
    ((400, ""), "HTTP 400"),
    ((404, "<html>"), "HTTP 404"),
    ((500, ""), "HTTP 500"),
    ((302, ""), "HTTP 302"),
    ((200, {"returnCode": "1", "description": "no"}), "1"),
    ((200, {"returnCode": "0", "data": {"workNo": ""}}), "no_agent"),
    ((200, {"returnCode": "0", "data": {"workNo": [7]}}), "unexpected_format"),
    ((200, {"returnCode": "0"}), "unexpected_format"),
    ((200, {"odd": 1}), "missing_code"),
    ((200, "<html>"), "not_json"),
    ((503, ""), "HTTP 503"),
]


@pytest.mark.usefixtures("hurry")
def test_one_account_that_fails_is_a_reject(start: Start, store: MemoryStore) -> None:
    center = start(120)
    accounts = dict(zip(list(center.accounts())[5::6], FAILURES, strict=False))
    center.faults.overrides = {account: reply for account, (reply, _) in accounts.items()}
    counts = read(store, center.accounts(), softphones="none")
    assert store.rejects == {account: (INFO, code) for account, (_, code) in accounts.items()}
    assert len(store.rows) == counts.synced == 120 - len(FAILURES)
    assert counts.sign_ins <= 2


@pytest.mark.parametrize("status", [401, 403])
def test_many_blocked_accounts_are_rejects(start: Start, store: MemoryStore, status: int) -> None:
    center = start(120)
    center.faults.overrides = {f"agent{number:06d}": (status, "") for number in range(5, 45)}
    counts = read(store, center.accounts(), softphones="none")
    assert (counts.synced, counts.rejected) == (80, 40)


@pytest.mark.parametrize("softphones", ["none", "directory"])
@pytest.mark.parametrize("status", [401, 403])
def test_when_everything_is_refused_the_run_stops_early(
    start: Start, store: MemoryStore, status: int, softphones: str
) -> None:
    center = start(2000)
    center.faults.errors, center.faults.only = {status: 1.0}, {INFO}
    with pytest.raises((CCAuthError, CCPermissionError)):
        read(store, center.accounts(), softphones=softphones)
    assert center.stats.requests(INFO) < 200
    assert center.stats.sign_ins() <= 4


@pytest.mark.usefixtures("hurry")
def test_when_nothing_answers_the_run_stops_early(start: Start, store: MemoryStore) -> None:
    center = start(2000)
    center.faults.errors, center.faults.only = {503: 1.0}, {INFO}
    with pytest.raises(CCTransientError, match="32 calls in a row failed"):
        read(store, center.accounts(), softphones="none")
    assert center.stats.requests(INFO) < 400


@pytest.mark.usefixtures("hurry")
def test_when_every_tenth_call_fails_for_good_the_run_stops_early(start: Start, store: MemoryStore) -> None:
    center = start(2000)
    center.faults.overrides = {f"agent{number:06d}": (503, "") for number in range(0, 2000, 10)}
    with pytest.raises(CCTransientError, match="more than 50 of the last 1000 calls failed"):
        read(store, center.accounts(), softphones="none")


def test_a_refused_credential_stops_the_run(start: Start, store: MemoryStore) -> None:
    center = start(40)
    center.faults.refuse_sign_ins = {"management"}
    with pytest.raises(CCAuthError):
        read(store, center.accounts())
    assert center.stats.requests() == 1


def test_a_center_that_is_away_stops_the_run(
    start: Start, store: MemoryStore, hurry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = start(40)
    accounts = list(center.accounts())
    center.stop()
    with pytest.raises(CCSignInUnavailable):
        read(store, accounts)


# Rejects


def failing(center: Simulator, number: int) -> None:
    center.faults.overrides = {f"agent{place:06d}": (500, "") for place in range(number)}


@pytest.mark.parametrize(("limit", "rejects"), [(0.1, 40), (39, 40), (0, 1), (0.0, 1)])
def test_too_many_rejects_end_the_run_as_soon_as_it_is_certain(
    start: Start, store: MemoryStore, limit: float, rejects: int
) -> None:
    center = start(399)
    failing(center, 400)
    with pytest.raises(CCError, match=f"accounts rejected, more than max_rejects={limit} allows"):
        read(store, center.accounts(), softphones="none", max_rejects=limit, chunk_size=10)
    assert center.stats.requests(INFO) < rejects + 70


@pytest.mark.parametrize("limit", [0.1, 40])
def test_as_many_rejects_as_allowed_are_allowed(start: Start, store: MemoryStore, limit: float) -> None:
    center = start(400)
    failing(center, 40)
    assert read(store, center.accounts(), softphones="none", max_rejects=limit).rejected == 40


def test_a_share_of_the_directory_is_judged_when_its_length_is_known(
    start: Start, store: MemoryStore
) -> None:
    center = start(400)
    center.settings.directory_also = {
        place: {"userAccount": f"x{place}", "workNo": [1]} for place in range(60)
    }
    assert read(store, chunk_size=10, max_rejects=0.2).rejected == 60
    with pytest.raises(CCError, match="60 accounts rejected"):
        read(MemoryStore(), chunk_size=10, max_rejects=0.1)


def test_only_rejects_are_a_failure(start: Start, store: MemoryStore) -> None:
    start(4)
    with pytest.raises(CCError, match="all 2 accounts were rejected"):
        read(store, ["nobody", "nothing"], max_rejects=1.0)


def test_bad_codes_are_rejects_of_their_own(start: Start, store: MemoryStore) -> None:
    center = start(12)
    bad = ["", " a", "a ", "x" * 65, "x" * 66, "x" * 65 + "y", "n\0l", None, 4.5, True, b"b", "half \ud83e"]
    good = [*center.accounts(), "NULL", "None"]
    counts = read(store, [*bad, *good, *bad, 7, "7"], softphones="none", max_rejects=1.0)
    assert sum(reject == ("account_code", "bad_code") for reject in store.rejects.values()) == len(bad)
    assert (counts.requested, counts.unique, counts.duplicates) == (40, 27, 13)
    assert (counts.synced, counts.rejected) == (12, 15)
    for account in store.answers:
        account.encode()
        assert "\0" not in account
        assert len(account) <= 100


def test_rejects_are_summed_up_in_the_log(
    start: Start, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    center = start(40)
    failing(center, 4)
    read(store, [*center.accounts(), None], softphones="none")
    assert f"4 accounts rejected: {INFO}: HTTP 500" in caplog.messages
    assert "1 accounts rejected: account_code: bad_code" in caplog.messages


# Accounts of a list that the center may no longer know


@pytest.fixture
def synced(start: Start, store: MemoryStore) -> tuple[Simulator, list[str]]:
    """Give a center whose agents are all in the table."""
    center = start(12)
    store.active = set(center.accounts())
    return center, list(center.accounts())


@pytest.mark.parametrize("code", ["0", "1"])
def test_who_is_gone_by_both_is_closed_and_rejected(
    synced: tuple[Simulator, list[str]], store: MemoryStore, code: Any
) -> None:
    center, accounts = synced
    center.settings.missing_account_code = code
    center.remove_agent(ANN)
    counts = read(store, [*accounts, "nobody"], softphones="none")
    assert store.outcomes("gone") == {ANN}
    assert store.rejects == {ANN: (DIRECTORY, "no_agent"), "nobody": (INFO, store.rejects["nobody"][1])}
    assert (counts.synced, counts.rejected, counts.unconfirmed) == (11, 2, 0)
    assert center.stats.requests(DIRECTORY) == 1


LISTED = {"returnCode": "1", "resultCode": "0", "data": [{"userAccount": ANN, "workNo": 7}]}
ELSE = {"returnCode": "1", "resultCode": "0", "total": 1, "data": [{"userAccount": "a", "workNo": 7}]}


@pytest.mark.parametrize(
    ("reply", "unconfirmed"),
    [
        ((200, LISTED), 0),
        ((200, {"returnCode": "1", "resultCode": "1"}), 1),
        ((500, ""), 1),
        ((404, ""), 1),
        ((200, ELSE), 1),
    ],
)
def test_anything_but_a_clear_no_only_rejects(
    synced: tuple[Simulator, list[str]], store: MemoryStore, reply: tuple[int, Any], unconfirmed: int
) -> None:
    center, accounts = synced
    center.faults.overrides = {ANN: reply}
    counts = read(store, accounts, softphones="none")
    assert store.outcomes("gone") == set()
    assert (counts.rejected, counts.unconfirmed) == (1, unconfirmed)


def test_a_directory_that_refuses_is_soon_left_alone(
    start: Start, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    center = start(200)
    accounts = list(center.accounts())
    store.active = set(accounts)
    for account in accounts[:90]:
        center.remove_agent(account)
    center.faults.errors, center.faults.only = {403: 1.0}, {DIRECTORY}
    counts = read(store, accounts, softphones="none")
    assert (counts.rejected, counts.unconfirmed, store.outcomes("gone")) == (90, 90, set())
    assert center.stats.requests(DIRECTORY) <= 10 + 32
    assert "Directory lookup was denied; no agents will be deactivated in this run." in caplog.messages
    assert any(message.startswith("90 accounts may no longer exist") for message in caplog.messages)


def test_a_list_may_not_close_more_than_the_ratio_allows(
    synced: tuple[Simulator, list[str]], store: MemoryStore
) -> None:
    center, accounts = synced
    for account in accounts[:7]:
        center.remove_agent(account)
    with pytest.raises(CCError, match="7 of 12 active accounts no longer exist"):
        read(store, accounts, softphones="none", max_rejects=1.0)
    counts = read(MemoryStore(store.active), accounts[:6], softphones="none", max_rejects=1.0)
    assert counts.rejected == 6


def test_a_list_closes_nobody_if_not_wanted(synced: tuple[Simulator, list[str]], store: MemoryStore) -> None:
    center, accounts = synced
    center.remove_agent(ANN)
    read(store, accounts, softphones="none", close_missing=False)
    assert store.outcomes("gone") == set()
    assert center.stats.requests(DIRECTORY) == 0


# Login parameters


def passwords_of(center: Simulator, **wrong: str) -> dict[str, str]:
    return {account: center.agent(account).password for account in center.accounts()} | wrong


@pytest.mark.parametrize("source", ["list", "directory"])
def test_softphones_come_by_each_accounts_own_password(
    start: Start, store: MemoryStore, variables: Variables, source: str
) -> None:
    center = start(40)
    codes = list(center.accounts()) if source == "list" else None
    passwords = passwords_of(center, agent000003="wrong-canary", agent000004="", agent000005="x" * 101)

    def sync(store: MemoryStore) -> Counts:
        return read(store, codes, softphones="login_params", passwords=passwords)

    counts = sync(store)

    softphones = {agent.account: agent.softphone_number for agent in map(center.agent, center.accounts())}
    assert store.rejects == {
        "agent000003": (PARAMS, "1"),
        "agent000004": (PARAMS, "no_password"),
        "agent000005": (PARAMS, "bad_password"),
    }
    assert {account: row[-1] for account, row in store.rows.items()} == {
        account: number for account, number in softphones.items() if account not in store.rejects
    }
    assert (counts.synced, counts.rejected) == (37, 3)
    assert center.stats.requests(PARAMS) == 38
    again = MemoryStore()
    sync(again)
    assert again.rejects["agent000003"] == (PARAMS, "blocked")
    assert not any(
        "canary" in answer.message for answer in (*store.answers.values(), *again.answers.values())
    )


def test_login_params_of_a_directory_are_asked_for_side_by_side(
    start: Start, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = start(60)
    center.faults.latency = 0.05
    connect(monkeypatch, center, max_concurrency=20)
    read(store, softphones="login_params", passwords=passwords_of(center))
    assert center.stats.max_concurrency == 20


# Stopping


def test_an_interrupted_reader_stops_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    center, store = start(400), MemoryStore()
    seen: Callable[..., None] = store.append

    def fail(answers: Sequence[Answer], spent: Counts, replaced: Collection[str]) -> None:
        seen(answers, spent, replaced)
        if len(store.batches) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "append", fail)
    with pytest.raises(KeyboardInterrupt):
        read(store, center.accounts(), softphones="none", chunk_size=50)
    assert center.stats.requests(INFO) < 250
