"""An account's refused password is not sent again for a day, and another one is sent at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.hooks.quarantine import KEY_VARIABLE
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Log, Sync
from tests.transfers.database import Database
from tests.variables import Variables

ACCOUNT, ENDPOINT = "agent000003", "queryAgentLoginParams"
TABLE = "cc_refused_password"

pytestmark = pytest.mark.usefixtures("variables")


@pytest.fixture
def know(centre: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a connection that knows every account's password, some of them wrong."""

    def know(**wrong: str) -> None:
        known = {account: centre.agent(account).password for account in centre.accounts()} | wrong
        connection = {"conn_type": "generic", "password": json.dumps(known)}
        monkeypatch.setenv("AIRFLOW_CONN_PASSWORDS", json.dumps(connection))

    know(**{ACCOUNT: "wrong-canary-heron"})
    return know


def arguments(centre: Simulator, **more: Any) -> dict[str, Any]:
    return {
        "accounts": list(centre.accounts()),
        "softphones": "login_params",
        "passwords_conn_id": "passwords",
        **more,
    }


def asked(centre: Simulator, sync: Sync, **more: Any) -> tuple[int, int]:
    """Sync; return how many accounts were rejected, and how often a password was sent."""
    before = centre.stats.requests(ENDPOINT)
    counts: Mapping[str, int] = sync(**arguments(centre, **more))
    return counts["rejected"], centre.stats.requests(ENDPOINT) - before


def age(database: Database, change: timedelta) -> None:
    """Let what was refused lie back by so much."""
    ((refused_at,),) = database.query(f"SELECT refused_at FROM {TABLE}")
    moment = (refused_at - change).replace(tzinfo=None)
    zone = "" if database.kind == "sqlite" else "+00"
    database.execute(f"UPDATE {TABLE} SET refused_at = '{moment:%Y-%m-%d %H:%M:%S.%f}{zone}'")


def test_it_is_sent_by_the_first_run_alone(
    centre: Simulator, database: Database, sync: Sync, know: Callable[..., None]
) -> None:
    assert [asked(centre, sync) for _ in range(3)] == [(1, 12), (1, 11), (1, 11)]

    ((tenant, account, fingerprint, code, refused_at),) = database.query(f"SELECT * FROM {TABLE}")
    assert (tenant, account, code, len(fingerprint)) == ("cc_management_default", ACCOUNT, "1", 64)
    rejects = database.query(
        "SELECT account, endpoint, code, message FROM cc_agent_reject ORDER BY rejected_at"
    )
    assert [reject[:3] for reject in rejects] == [
        (ACCOUNT, ENDPOINT, "1"),
        (ACCOUNT, ENDPOINT, "at_rest"),
        (ACCOUNT, ENDPOINT, "at_rest"),
    ]
    assert f"refused at {refused_at:%Y-%m-%d %H:%M} UTC (1)" in rejects[2][3]
    assert rejects[2][3].endswith(f"DELETE the account's row from {TABLE}")


@pytest.mark.parametrize("source", ["accounts", "directory"])
def test_so_it_is_from_either_source(
    centre: Simulator, sqlite_sync: Sync, know: Callable[..., None], source: str
) -> None:
    more = {"accounts": None} if source == "directory" else {}
    assert [asked(centre, sqlite_sync, **more)[1] for _ in range(2)] == [12, 11]


def test_a_locked_account_is_left_alone_too(
    centre: Simulator, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    know()
    centre.lock_agent(ACCOUNT)
    assert [asked(centre, sqlite_sync) for _ in range(2)] == [(1, 12), (1, 11)]


def test_another_password_is_sent_at_once(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    asked(centre, sqlite_sync)
    know(**{ACCOUNT: "also-wrong"})
    assert [asked(centre, sqlite_sync) for _ in range(2)] == [(1, 12), (1, 11)]
    know()
    assert asked(centre, sqlite_sync) == (0, 12)
    assert sqlite_database.query(f"SELECT COUNT(*) FROM {TABLE}") == [(1,)]


def test_its_row_deleted_it_is_sent_again(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    asked(centre, sqlite_sync)
    sqlite_database.execute(f"DELETE FROM {TABLE} WHERE account = '{ACCOUNT}'")
    assert [asked(centre, sqlite_sync)[1] for _ in range(2)] == [12, 11]


@pytest.mark.parametrize(
    ("hours", "sent"), [(23.9, 11), (24.1, 12), (-23.9, 11), (-24.1, 12)], ids=lambda value: f"{value}"
)
def test_after_a_day_it_is_sent_once_more_and_rests_again(
    centre: Simulator,
    database: Database,
    sync: Sync,
    know: Callable[..., None],
    hours: float,
    sent: int,
) -> None:
    asked(centre, sync)
    age(database, timedelta(hours=hours))
    assert [asked(centre, sync)[1] for _ in range(2)] == [sent, 11]


def test_old_rows_go_with_the_next_refusal(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    asked(centre, sqlite_sync)
    age(sqlite_database, timedelta(days=2))
    know(agent000004="wrong")
    asked(centre, sqlite_sync)
    assert sqlite_database.query(f"SELECT account FROM {TABLE}") == [("agent000004",)]


def test_a_run_that_fails_leaves_its_marks(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    know(**dict.fromkeys(centre.accounts(), "wrong"))
    for _ in range(3):  # a try and its retries
        with pytest.raises(CCError, match="rejected"):
            sqlite_sync(run_id="one", **arguments(centre))
    assert centre.stats.requests(ENDPOINT) == 12


def test_so_does_one_that_ends_before_its_chunk_is_written(
    centre: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    know: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = centre.connections()["cc_management_default"]
    connection["extra"]["max_concurrency"] = 1  # one account after the other
    monkeypatch.setenv("AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT", json.dumps(connection))
    centre.faults.overrides["agent000009"] = (403, "")
    with pytest.raises(CCError, match="403"):
        sqlite_sync(**arguments(centre))
    assert sqlite_database.query(f"SELECT account FROM {TABLE}") == [(ACCOUNT,)]
    assert sqlite_database.query("SELECT * FROM cc_agent_reject") == []


def test_what_is_no_refusal_of_the_password_leaves_no_mark(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    know()
    centre.faults.errors, centre.faults.only = {500: 0.5}, {ENDPOINT}
    assert asked(centre, sqlite_sync, max_rejects=1.0)[0] > 1
    assert sqlite_database.query(f"SELECT * FROM {TABLE}") == []


def test_two_tenants_know_nothing_of_each_other(
    centre: Simulator, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    asked(centre, sqlite_sync, tenant="one")
    assert asked(centre, sqlite_sync, tenant="two")[1] == 12


def test_the_table_lies_beside_the_ledger(
    centre: Simulator, postgres_database: Database, postgres_sync: Sync, know: Callable[..., None]
) -> None:
    postgres_database.execute("CREATE SCHEMA books")
    asked(centre, postgres_sync, run_table="books.cc_sync_run")
    assert postgres_database.query(f"SELECT account FROM books.{TABLE}") == [(ACCOUNT,)]


def test_without_login_parameters_there_is_no_such_table(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    sqlite_sync()
    assert TABLE not in sqlite_database.tables()


def test_a_dry_run_heeds_the_marks_and_leaves_none(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    assert asked(centre, sqlite_sync, dry_run=True) == (1, 12)
    assert sqlite_database.tables() == set()
    asked(centre, sqlite_sync)
    assert asked(centre, sqlite_sync, dry_run=True) == (1, 11)


def test_neither_password_nor_fingerprint_nor_key_is_told(
    centre: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    know: Callable[..., None],
    variables: Variables,
    log: Log,
) -> None:
    centre.settings.echo_secrets = True
    for _ in range(2):
        asked(centre, sqlite_sync)
    ((fingerprint,),) = sqlite_database.query(f"SELECT fingerprint FROM {TABLE}")
    written = json.dumps(sqlite_database.dump(), default=str)
    assert "wrong-canary-heron" not in written
    assert written.count(fingerprint) == 1
    for secret in ("wrong-canary-heron", fingerprint, variables[KEY_VARIABLE]):
        assert secret not in log.text
    assert variables[KEY_VARIABLE] not in written


def test_where_variables_are_away_the_run_goes_on_without_marks(
    centre: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    know: Callable[..., None],
    variables: Variables,
    log: Log,
) -> None:
    with variables.away():
        assert [asked(centre, sqlite_sync) for _ in range(2)] == [(1, 12), (1, 12)]
    assert "no refused password of an account is remembered" in log.text
    assert TABLE not in sqlite_database.tables()


def test_a_table_of_another_make_is_said_before_anything_is_asked(
    centre: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    sqlite_database.execute(f"CREATE TABLE {TABLE} (tenant TEXT, account TEXT)")
    with pytest.raises(CCError, match=r"lacks columns.*fingerprint"):
        sqlite_sync(**arguments(centre))
    assert centre.stats.requests() == 0
