"""Whatever a source delivers as an account code ends as a row or as a reject with a reason, never as both."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.sync.sources import AccountList
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

ODD = [
    "a",
    "7",
    "x" * 64,
    "MIXED.Case",
    "mixed.case",
    "maría.ñandú",
    "mari\u0301a.n\u0303andu\u0301",
    "山田太郎",
    "מיכל",
    "🤖 agent 🇺🇳",
    "O'Neill",
    'double"quote',
    "back\\slash",
    "inner  blanks",
    "tab\tinside",
    "line\nbreak",
    "bell\x07",
    "zero\u200bwidth",
    "100%",
    "%s %(x)s",
    ":name ?",
    "'); DROP TABLE cc_agent; --",
    "{{ 7 * 7 }}",
    "{% raw",
    "${HOME} $(id)",
    "<b>&amp;</b>",
    '{"accountCode": "x"}',
    "NULL",
    "None",
    "list.sql",
]
BAD = [
    ("", "must not be empty"),
    ("   ", "must not be empty"),
    ("\t", "must not be empty"),
    (" before", "begins or ends with whitespace"),
    ("after ", "begins or ends with whitespace"),
    ("after\n", "begins or ends with whitespace"),
    ("y" * 65, "at most 64 characters, not 65"),
    ("🤖" * 65, "at most 64 characters, not 65"),
    (None, "NULL"),
    (4711.5, "must be a string, not float"),
    (True, "must be a string, not bool"),
    (b"bytes", "must be a string, not bytes"),
    (["nested"], "must be a string, not list"),
    ("nul\0", "NUL character"),
    ("\0nul", "NUL character"),
    ("half \ud83e", "cannot be sent"),
]


@pytest.fixture
def odd_center(make_center: MakeCenter) -> Simulator:
    """Give a center whose agents all have odd account codes."""
    center = make_center(0)
    for number, account in enumerate(ODD):
        center.add_agent(account, agent_id=500 + number)
    return center


@on_each_database
def test_an_odd_code_is_written_as_it_is_found_again_and_closed(
    odd_center: Simulator, database: Database, sync: Sync
) -> None:
    arguments: dict[str, Any] = {
        "accounts": ODD,
        "softphones": "none",
        "history_table": "cc_agent_history",
        "max_rejects": 1.0,
    }
    sync(**arguments)

    expected = sorted((account, 500 + number) for number, account in enumerate(ODD))
    assert sorted(database.query("SELECT account, agent_id FROM cc_agent")) == expected
    assert sorted(database.query("SELECT account, agent_id FROM cc_agent_history")) == expected
    assert database.query("SELECT * FROM cc_agent_reject") == []

    counts = sync(**arguments)
    assert (counts["unchanged"], counts["synced"]) == (len(ODD), len(ODD))

    for account in ODD[1:]:
        odd_center.remove_agent(account)
    with pytest.raises(CCError, match="min_snapshot_ratio"):
        sync(**arguments)
    assert database.query("SELECT COUNT(*) FROM cc_agent WHERE is_active") == [(len(ODD),)]
    counts = sync(**arguments, min_snapshot_ratio=0.0)

    assert counts["deactivated"] == counts["rejected"] == len(ODD) - 1
    assert database.query("SELECT account FROM cc_agent WHERE is_active") == [(ODD[0],)]


def test_the_directory_delivers_odd_codes_that_can_be_printed(
    odd_center: Simulator, database: Database, sync: Sync
) -> None:
    counts = sync()

    synced = {account for (account,) in database.query("SELECT account FROM cc_agent")}
    assert synced == {account for account in ODD if account.isprintable()}
    assert counts["rejected"] == len([account for account in ODD if not account.isprintable()])


def test_every_bad_code_is_a_reject_of_its_own_with_a_reason(
    center: Simulator, database: Database, sync: Sync
) -> None:
    codes = [code for code, _ in BAD]

    counts = sync(accounts=[*codes, *codes, *center.accounts()], softphones="none", max_rejects=1.0)

    rejects = database.query("SELECT account, endpoint, code, message FROM cc_agent_reject")
    assert {reject[1:3] for reject in rejects} == {("account_code", "bad_code")}
    reasons = {account: message for account, _, _, message in rejects}
    for code, reason in BAD:
        assert reason in reasons["<NULL>" if code is None else repr(code)]
    assert len(rejects) == counts["rejected"] == counts["duplicates"] == len(BAD)
    assert len(database.query("SELECT * FROM cc_agent")) == counts["synced"] == 12
    assert center.stats.requests("queryAgentInfoByAccount") == 12  # none of the bad ones was asked for


def test_over_long_codes_that_begin_alike_are_two_rejects(
    center: Simulator, database: Database, sync: Sync
) -> None:
    counts = sync(accounts=["z" * 300 + "1", "z" * 300 + "2", *center.accounts()], softphones="none")

    assert (counts["duplicates"], counts["rejected"]) == (0, 2)
    assert len(database.query("SELECT * FROM cc_agent_reject")) == 2


def test_a_bad_code_looks_the_same_in_the_rejects_of_every_run(
    center: Simulator, database: Database, sync: Sync
) -> None:
    for run_id in ("one", "two"):
        sync(accounts=["\x1b[31mred ", "agent000001"], softphones="none", run_id=run_id)

    assert database.query("SELECT run_id, account FROM cc_agent_reject ORDER BY run_id") == [
        ("one", r"'\x1b[31mred '"),
        ("two", r"'\x1b[31mred '"),
    ]


def test_a_repeated_code_is_asked_for_once(center: Simulator, database: Database, sync: Sync) -> None:
    accounts = list(center.accounts())

    counts = sync(accounts=[*accounts, *reversed(accounts), accounts[0]], softphones="none")

    assert (counts["requested"], counts["duplicates"], counts["unique"]) == (25, 13, 12)
    assert max(center.stats.accounts.values()) == 1


def test_a_whole_number_is_an_account_code(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    make_center(0).add_agent("4711")

    counts = sync(accounts=[4711, "4711"], softphones="none")

    assert (counts["requested"], counts["duplicates"], counts["synced"]) == (2, 1, 1)
    assert database.query("SELECT account FROM cc_agent") == [("4711",)]


def test_no_accounts_are_a_run_of_none(center: Simulator, database: Database, sync: Sync) -> None:
    counts = sync(accounts=[], softphones="none")

    assert (counts["requested"], counts["synced"], counts["rejected"]) == (0, 0, 0)
    assert len(database.query("SELECT * FROM cc_sync_run WHERE finished_at IS NOT NULL")) == 1
    assert center.stats.requests("queryAgentInfoByAccount") == 0


def test_nothing_but_bad_codes_fails(center: Simulator, database: Database, sync: Sync) -> None:
    with pytest.raises(CCError, match="all 2 accounts were rejected"):
        sync(accounts=["", None], softphones="none", max_rejects=1.0)

    assert database.query("SELECT finished_at, rejected FROM cc_sync_run") == [(None, 2)]


@pytest.mark.parametrize("accounts", ["agent000001", b"agent000001", {"agent000001": 1}, 7])
def test_what_is_no_list_is_refused_before_anything_is_asked(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, accounts: Any
) -> None:
    with pytest.raises(ValueError, match="must be a list"):
        sqlite_sync(accounts=accounts, softphones="none")

    assert center.stats.requests() == 0
    assert sqlite_database.tables() == set()


def test_a_generator_or_a_set_is_a_list(center: Simulator, sqlite_sync: Sync) -> None:
    assert sqlite_sync(accounts=set(center.accounts()), softphones="none")["synced"] == 12
    assert sqlite_sync(accounts=center.accounts(), softphones="none")["synced"] == 12


def test_a_list_shows_as_a_number() -> None:
    codes = AccountList(["agent000001", "agent000002"])

    assert str(codes) == repr(codes) == "(2 accounts)"
