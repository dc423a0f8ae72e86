"""Every source with every way to softphone numbers, against what the center knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

ATTRIBUTES = ("agent_id", "agent_type", "agent_status", "softphone_number")
ALL_BUT_STATUS = {"agent_id", "agent_type", "softphone_number"}
DELIVERED = {
    ("accounts", "none"): {"agent_id", "agent_type", "agent_status"},
    ("accounts", "directory"): set(ATTRIBUTES),
    ("accounts", "login_params"): set(ATTRIBUTES),
    ("directory", "none"): {"agent_id", "agent_type"},
    ("directory", "directory"): ALL_BUT_STATUS,
    ("directory", "login_params"): ALL_BUT_STATUS,
}


def truth(center: Simulator, delivered: set[str]) -> list[tuple[Any, ...]]:
    """Return what the table must hold: the center's word for what is delivered, else nothing."""
    agents = [center.agent(account) for account in center.accounts()]
    return [
        (agent.account, *(getattr(agent, name) if name in delivered else None for name in ATTRIBUTES))
        for agent in sorted(agents)
    ]


def table(database: Database) -> list[tuple[Any, ...]]:
    return database.query(f"SELECT account, {', '.join(ATTRIBUTES)} FROM cc_agent ORDER BY account")


@pytest.fixture
def passwords(center: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the id of a connection that knows every account's password."""
    known = {account: center.agent(account).password for account in center.accounts()}
    connection = {"conn_type": "generic", "password": json.dumps(known)}
    monkeypatch.setenv("AIRFLOW_CONN_PASSWORDS", json.dumps(connection))
    return "passwords"


def source_arguments(source: str, center: Simulator, database: Database) -> dict[str, Any]:
    if source == "accounts":
        return {"accounts": list(center.accounts())}
    if source == "accounts_sql":
        put_accounts(database, center)
        return {"accounts_sql": "SELECT account FROM crm"}
    return {}


def put_accounts(database: Database, center: Simulator, *more: str | None) -> None:
    database.execute("CREATE TABLE crm (account VARCHAR(64))")
    rows = [{"account": account} for account in (*center.accounts(), *more)]
    database.execute("INSERT INTO crm VALUES (:account)", rows=rows)


@pytest.mark.parametrize("softphones", ["none", "directory", "login_params"])
@pytest.mark.parametrize("source", ["accounts", "accounts_sql", "directory"])
def test_the_table_is_as_the_center_says(
    center: Simulator, database: Database, sync: Sync, passwords: str, source: str, softphones: str
) -> None:
    counts = sync(
        softphones=softphones,
        passwords_conn_id=passwords if softphones == "login_params" else None,
        **source_arguments(source, center, database),
    )

    delivered = DELIVERED["directory" if source == "directory" else "accounts", softphones]
    assert table(database) == truth(center, delivered)
    assert (counts["requested"], counts["synced"], counts["added"], counts["rejected"]) == (12, 12, 12, 0)


def test_numbers_that_come_as_texts_are_numbers(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(12)
    accounts = list(center.accounts())
    sync(accounts=accounts)
    center.faults.vary_types = True

    counts = sync(accounts=accounts)

    assert counts["unchanged"] == 12
    assert table(database) == truth(center, set(ATTRIBUTES))


def test_several_chunks_and_pages_are_as_one(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(230)

    counts = sync(accounts=list(center.accounts()), chunk_size=17)

    assert (counts["added"], counts["requests"]) == (230, 230 + 3)
    assert table(database) == truth(center, set(ATTRIBUTES))


def test_one_session_serves_a_whole_run(center: Simulator, sqlite_sync: Sync, passwords: str) -> None:
    counts = sqlite_sync(
        accounts=list(center.accounts()), softphones="login_params", passwords_conn_id=passwords
    )

    assert counts["sign_ins"] == center.stats.sign_ins() == 1
    assert counts["requests"] == 24


# Login parameters


def test_an_account_without_a_password_is_a_reject(
    center: Simulator, database: Database, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {account: center.agent(account).password for account in center.accounts()}
    del known["agent000003"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_PASSWORDS", json.dumps({"conn_type": "generic", "password": json.dumps(known)})
    )

    counts = sync(accounts=list(center.accounts()), softphones="login_params", passwords_conn_id="passwords")

    assert (counts["synced"], counts["rejected"]) == (11, 1)
    assert database.query("SELECT account, endpoint, code FROM cc_agent_reject") == [
        ("agent000003", "queryAgentLoginParams", "no_password")
    ]
    assert database.query("SELECT account FROM cc_agent WHERE account = 'agent000003'") == []


def test_a_wrong_account_password_is_a_reject_and_sent_once(
    center: Simulator, database: Database, sync: Sync, passwords: str
) -> None:
    center.change_agent("agent000003", password="another-one")

    counts = sync(accounts=list(center.accounts()), softphones="login_params", passwords_conn_id=passwords)

    assert counts["rejected"] == 1
    assert database.query("SELECT account, endpoint, code FROM cc_agent_reject") == [
        ("agent000003", "queryAgentLoginParams", "1")
    ]
    assert center.stats.requests("queryAgentLoginParams") == 12


def test_a_password_that_cannot_be_sent_is_a_reject(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"agent000000": center.agent("agent000000").password, "agent000001": "p" * 101}
    monkeypatch.setenv(
        "AIRFLOW_CONN_PASSWORDS", json.dumps({"conn_type": "generic", "password": json.dumps(known)})
    )

    sqlite_sync(accounts=list(known), softphones="login_params", passwords_conn_id="passwords")

    assert sqlite_database.query("SELECT account, code FROM cc_agent_reject") == [
        ("agent000001", "bad_password")
    ]


# accounts_sql


QUERIES = [
    "SELECT account FROM crm WHERE account LIKE 'agent%'",
    "SELECT account FROM crm WHERE account NOT LIKE '%:name%' AND account NOT LIKE '%s'",
    "SELECT account FROM crm WHERE account <> '%(account)s' AND account <> ':account' -- 100% :sure ?",
    "WITH known AS (SELECT account FROM crm) SELECT account FROM known ORDER BY account;",
    'SELECT CAST(account AS VARCHAR(64)) AS "sign-in account" FROM crm',
]


@on_each_database
def test_the_query_is_sent_as_it_is(center: Simulator, database: Database, sync: Sync) -> None:
    put_accounts(database, center)

    for sql in QUERIES:
        assert sync(accounts_sql=sql, softphones="none")["synced"] == 12, sql


@pytest.mark.parametrize("cast", ["account::text", "account::varchar(64)"])
def test_a_cast_with_colons_is_no_parameter(
    center: Simulator, postgres_database: Database, postgres_sync: Sync, cast: str
) -> None:
    put_accounts(postgres_database, center)

    assert postgres_sync(accounts_sql=f"SELECT {cast} FROM crm", softphones="none")["synced"] == 12


def test_a_null_in_the_query_is_a_reject(center: Simulator, database: Database, sync: Sync) -> None:
    put_accounts(database, center, None, None, " padded")

    counts = sync(accounts_sql="SELECT account FROM crm", softphones="none")

    assert (counts["requested"], counts["duplicates"], counts["rejected"]) == (15, 1, 2)
    assert sorted(database.query("SELECT account FROM cc_agent_reject")) == [("' padded'",), ("<NULL>",)]


@on_each_database
def test_a_number_column_is_a_column_of_account_codes(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    make_center(0).add_agent("4711")
    database.execute("CREATE TABLE crm (account INTEGER)", "INSERT INTO crm VALUES (4711)")

    assert sync(accounts_sql="SELECT account FROM crm", softphones="none")["synced"] == 1


def test_a_query_with_more_columns_is_refused_before_anything_is_asked(
    center: Simulator, database: Database, sync: Sync
) -> None:
    put_accounts(database, center)

    with pytest.raises(ValueError, match="must return one column"):
        sync(accounts_sql="SELECT account, 1 FROM crm", softphones="none")

    assert center.stats.requests() == 0
    assert database.tables() == {"crm"}


def test_a_query_that_returns_nothing_is_a_run_of_none(
    center: Simulator, database: Database, sync: Sync
) -> None:
    put_accounts(database, center)

    counts = sync(accounts_sql="SELECT account FROM crm WHERE 1 = 0", softphones="none")

    assert (counts["requested"], counts["synced"]) == (0, 0)
    assert database.query("SELECT * FROM cc_agent") == []


# Two sources on one table


@on_each_database
def test_two_sources_on_one_table_leave_each_other_alone(
    center: Simulator, database: Database, sync: Sync
) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts, softphones="none", task_id="accounts")
    sync(task_id="directory")

    by_account = sync(accounts=accounts, softphones="none", task_id="accounts")
    by_directory = sync(task_id="directory")

    assert (by_account["changed"], by_directory["changed"]) == (0, 0)
    assert table(database) == truth(center, set(ATTRIBUTES))


def test_each_source_brings_its_own_changes(center: Simulator, database: Database, sync: Sync) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts)
    center.change_agent("agent000002", agent_status="9", softphone_number="555")

    by_account = sync(accounts=accounts, softphones="none")
    assert by_account["changed"] == 1
    ((status, old_number),) = database.query(
        "SELECT agent_status, softphone_number FROM cc_agent WHERE account = 'agent000002'"
    )
    assert status == "9"
    assert old_number != "555"

    by_directory = sync()
    assert by_directory["changed"] == 1
    assert table(database) == truth(center, set(ATTRIBUTES))


def test_an_account_with_a_failing_second_answer_keeps_its_row(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, passwords: str
) -> None:
    accounts = list(center.accounts())
    sqlite_sync(accounts=accounts, softphones="login_params", passwords_conn_id=passwords)
    before = table(sqlite_database)
    center.change_agent("agent000004", agent_status="8", password="changed")

    counts = sqlite_sync(accounts=accounts, softphones="login_params", passwords_conn_id=passwords)

    assert (counts["rejected"], counts["changed"]) == (1, 0)
    assert table(sqlite_database) == before


def test_faults_do_not_leave_half_rows(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(60)
    faults = center.faults
    faults.truncated, faults.empty, faults.only = 0.1, 0.1, {"queryAgentInfoByAccount"}

    counts = sync(accounts=list(center.accounts()), max_rejects=1.0)

    rejected = {account for (account,) in database.query("SELECT account FROM cc_agent_reject")}
    assert table(database) == [row for row in truth(center, set(ATTRIBUTES)) if row[0] not in rejected]
    assert counts["synced"] + counts["rejected"] == 60
    assert len(rejected) == counts["rejected"] > 0
