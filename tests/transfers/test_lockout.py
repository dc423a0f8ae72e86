"""An account's rejected password is not sent again for a while, and another one is sent at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.hooks import lockout
from airflow_provider_cc.simulator import Simulator
from tests.hooks.test_lockout import WallClock
from tests.transfers.conftest import Log, Sync
from tests.transfers.database import Database
from tests.variables import Variables

ACCOUNT, ENDPOINT = "agent000003", "queryAgentLoginParams"

pytestmark = pytest.mark.usefixtures("variables")


@pytest.fixture
def know(center: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a connection with every account's password, some of them wrong."""

    def know(**wrong: str) -> None:
        known = {account: center.agent(account).password for account in center.accounts()} | wrong
        connection = {"conn_type": "generic", "password": json.dumps(known)}
        monkeypatch.setenv("AIRFLOW_CONN_PASSWORDS", json.dumps(connection))

    know(**{ACCOUNT: "wrong-canary-heron"})
    return know


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    wall = WallClock()
    monkeypatch.setattr(lockout, "time", wall)
    return wall


def arguments(center: Simulator, **more: Any) -> dict[str, Any]:
    return {
        "accounts": list(center.accounts()),
        "softphones": "login_params",
        "passwords_conn_id": "passwords",
        **more,
    }


def asked(center: Simulator, sync: Sync, **more: Any) -> tuple[int, int]:
    """Sync; return how many accounts were rejected, and how often a password was sent."""
    before = center.stats.requests(ENDPOINT)
    counts: Mapping[str, int] = sync(**arguments(center, **more))
    return counts["rejected"], center.stats.requests(ENDPOINT) - before


def test_it_is_sent_by_the_first_run_alone(
    center: Simulator, database: Database, sync: Sync, know: Callable[..., None]
) -> None:
    assert [asked(center, sync) for _ in range(3)] == [(1, 12), (1, 11), (1, 11)]

    rejects = database.query(
        "SELECT account, endpoint, code, message FROM cc_agent_reject ORDER BY rejected_at"
    )
    assert [reject[:3] for reject in rejects] == [
        (ACCOUNT, ENDPOINT, "1"),
        (ACCOUNT, ENDPOINT, "blocked"),
        (ACCOUNT, ENDPOINT, "blocked"),
    ]
    assert "(1), blocked until " in rejects[2][3]
    assert "airflow variables delete cc_blocked__" in rejects[2][3]


@pytest.mark.parametrize("source", ["accounts", "directory"])
def test_so_it_is_from_either_source(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None], source: str
) -> None:
    more = {"accounts": None} if source == "directory" else {}
    assert [asked(center, sqlite_sync, **more)[1] for _ in range(2)] == [12, 11]


def test_a_locked_account_is_left_alone_too(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    know()
    center.lock_agent(ACCOUNT)
    assert [asked(center, sqlite_sync) for _ in range(2)] == [(1, 12), (1, 11)]


def test_another_password_is_sent_at_once_and_a_success_clears_it(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None], variables: Variables
) -> None:
    asked(center, sqlite_sync)
    know(**{ACCOUNT: "also-wrong"})
    assert [asked(center, sqlite_sync) for _ in range(2)] == [(1, 12), (1, 11)]
    know()
    assert asked(center, sqlite_sync) == (0, 12)
    assert list(variables.all("cc_blocked__").values()) == ["{}"]


def test_with_the_variable_deleted_it_is_sent_again(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None], variables: Variables
) -> None:
    asked(center, sqlite_sync)
    (name,) = variables.all("cc_blocked__")
    variables.delete(name)
    assert [asked(center, sqlite_sync)[1] for _ in range(2)] == [12, 11]


def test_after_five_minutes_and_then_ten_it_is_sent_once_more(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None], wall: WallClock
) -> None:
    asked(center, sqlite_sync)
    sent = []
    for minutes in (4.8, 0.4, 9.6, 0.6):
        wall.ahead += timedelta(minutes=minutes)
        sent.append(asked(center, sqlite_sync)[1])
    assert sent == [11, 12, 11, 12]


def test_a_run_that_fails_leaves_its_blocks(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    know(**dict.fromkeys(center.accounts(), "wrong"))
    for _ in range(3):  # an attempt and its retries
        with pytest.raises(CCError, match="rejected"):
            sqlite_sync(run_id="one", **arguments(center))
    assert center.stats.requests(ENDPOINT) == 12


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_is_no_verdict_on_the_password_blocks_nothing(
    center: Simulator, sqlite_sync: Sync, know: Callable[..., None], variables: Variables, status: int
) -> None:
    know()
    center.faults.errors, center.faults.only = {status: 0.5}, {ENDPOINT}
    assert asked(center, sqlite_sync, max_rejects=1.0)[0] > 1
    assert variables.all() == {}


def test_a_dry_run_heeds_the_blocks(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, know: Callable[..., None]
) -> None:
    assert asked(center, sqlite_sync, dry_run=True) == (1, 12)
    assert sqlite_database.tables() == set()
    assert asked(center, sqlite_sync, dry_run=True) == (1, 11)


def test_neither_password_nor_fingerprint_nor_key_is_shown(
    center: Simulator,
    sqlite_database: Database,
    sqlite_sync: Sync,
    know: Callable[..., None],
    variables: Variables,
    log: Log,
) -> None:
    center.settings.echo_secrets = True
    for _ in range(2):
        asked(center, sqlite_sync)
    (entries,) = variables.all("cc_blocked__").values()
    (entry,) = json.loads(entries).values()
    written = json.dumps(sqlite_database.dump(), default=str)
    for secret in ("wrong-canary-heron", entry["fingerprint"], variables[lockout.KEY_VARIABLE]):
        assert secret not in log.text
        assert secret not in written
    assert "canary" not in entries


def test_without_variables_the_run_continues_without_blocks(
    center: Simulator,
    sqlite_sync: Sync,
    know: Callable[..., None],
    variables: Variables,
    log: Log,
) -> None:
    with variables.away():
        assert [asked(center, sqlite_sync) for _ in range(2)] == [(1, 12), (1, 12)]
    assert "cannot be read" in log.text
