"""A list of accounts closes a row only on the directory's own word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Log, MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

ANN = "agent000003"
DIRECTORY = "agentAccount/query"


def row(database: Database, account: str = ANN) -> tuple[Any, ...]:
    ((active, agent_id, status),) = database.query(
        "SELECT is_active, agent_id, agent_status FROM cc_agent WHERE account = :account", account=account
    )
    return bool(active), agent_id, status


def rejects(database: Database) -> list[tuple[Any, ...]]:
    return database.query("SELECT account, endpoint, code FROM cc_agent_reject")


@pytest.fixture
def synced(center: Simulator, sync: Sync) -> list[str]:
    """Sync everybody once; return the accounts."""
    accounts = list(center.accounts())
    sync(accounts=accounts, softphones="none")
    return accounts


@on_each_database
@pytest.mark.parametrize("code", ["0", "1"])
def test_an_account_that_both_deny_is_closed_and_rejected(
    center: Simulator, database: Database, sync: Sync, synced: list[str], code: Any
) -> None:
    center.settings.missing_account_code = code
    _, agent_id, status = row(database)
    center.remove_agent(ANN)

    counts = sync(accounts=synced, softphones="none")

    assert row(database) == (False, agent_id, status)
    assert (counts["deactivated"], counts["rejected"], counts["synced"]) == (1, 1, 11)
    assert rejects(database) == [(ANN, DIRECTORY, "no_agent")]


def test_a_closed_account_is_not_looked_for_again(
    center: Simulator, database: Database, sync: Sync, synced: list[str]
) -> None:
    center.remove_agent(ANN)
    sync(accounts=synced, softphones="none")
    center.stats.reset()

    counts = sync(accounts=synced, softphones="none")

    assert (counts["deactivated"], counts["rejected"]) == (0, 1)
    assert center.stats.requests(DIRECTORY) == 0


def test_an_account_that_was_never_there_is_not_looked_for(
    center: Simulator, sync: Sync, synced: list[str]
) -> None:
    center.stats.reset()

    sync(accounts=[*synced, "nobody"], softphones="none")

    assert center.stats.requests(DIRECTORY) == 0


def test_a_closed_account_that_is_back_is_reactivated(
    center: Simulator, database: Database, sync: Sync, synced: list[str]
) -> None:
    center.remove_agent(ANN)
    sync(accounts=synced, softphones="none")
    center.add_agent(ANN)

    counts = sync(accounts=synced, softphones="none")

    assert counts["reactivated"] == 1
    assert row(database)[0] is True


@pytest.mark.parametrize(
    ("reply", "unconfirmed"),
    [
        # Listed: declined, and yet not gone.
        ((200, {"returnCode": "1", "resultCode": "0", "data": [{"userAccount": ANN, "workNo": 7}]}), 0),
        ((200, {"returnCode": "1", "resultCode": "1", "resultMessage": "not now"}), 1),
        ((500, ""), 1),
        ((404, ""), 1),
    ],
    ids=["listed", "declined", "HTTP 500", "HTTP 404"],
)
def test_anything_but_a_clear_no_only_rejects(
    center: Simulator,
    database: Database,
    sync: Sync,
    synced: list[str],
    reply: tuple[int, Any],
    unconfirmed: int,
) -> None:
    center.faults.overrides = {ANN: reply}

    counts = sync(accounts=synced, softphones="none")

    assert row(database)[0] is True
    assert (counts["deactivated"], counts["rejected"], counts["unconfirmed"]) == (0, 1, unconfirmed)
    ((account, endpoint, _),) = rejects(database)
    assert (account, endpoint) == (ANN, "queryAgentInfoByAccount")


@pytest.mark.parametrize("reply", [(200, "<html>"), (200, {"odd": 1}), (418, "")])
def test_an_answer_that_cannot_be_read_is_no_reason_to_ask(
    center: Simulator, database: Database, sync: Sync, synced: list[str], reply: tuple[int, Any]
) -> None:
    center.faults.overrides = {ANN: reply}
    center.stats.reset()

    sync(accounts=synced, softphones="none")

    assert row(database)[0] is True
    assert center.stats.requests(DIRECTORY) == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_directory_that_refuses_closes_nobody_and_the_run_goes_on(
    make_center: MakeCenter, database: Database, sync: Sync, log: Log, status: int
) -> None:
    center = make_center(60)
    accounts = list(center.accounts())
    sync(accounts=accounts, softphones="none")
    for account in accounts[:20]:
        center.remove_agent(account)
    center.faults.errors, center.faults.only = {status: 1.0}, {DIRECTORY}

    counts = sync(accounts=accounts, softphones="none", chunk_size=10)

    assert (counts["deactivated"], counts["rejected"], counts["synced"]) == (0, 20, 40)
    assert counts["unconfirmed"] == 20
    assert database.query("SELECT COUNT(*) FROM cc_agent WHERE is_active") == [(60,)]
    assert "Directory lookup was denied; no agents will be deactivated in this run." in log.messages
    assert counts["sign_ins"] <= 2


def test_a_list_that_would_close_too_many_changes_nothing(
    center: Simulator, database: Database, sync: Sync, synced: list[str]
) -> None:
    before = database.dump()
    for account in synced[:7]:
        center.remove_agent(account)

    with pytest.raises(
        CCError, match="7 of 12 active accounts no longer exist, more than min_snapshot_ratio"
    ):
        sync(accounts=synced, softphones="none", max_rejects=1.0)

    after = database.dump()
    assert {name: after[name] for name in ("cc_agent", "cc_agent_reject")} == {
        name: before[name] for name in ("cc_agent", "cc_agent_reject")
    }
    assert (
        sync(accounts=synced, softphones="none", max_rejects=1.0, min_snapshot_ratio=0.4)["deactivated"] == 7
    )


def test_nothing_is_closed_if_not_wanted(
    center: Simulator, database: Database, sync: Sync, synced: list[str]
) -> None:
    center.remove_agent(ANN)
    center.stats.reset()

    counts = sync(accounts=synced, softphones="none", deactivate_missing=False)

    assert (counts["deactivated"], counts["rejected"]) == (0, 1)
    assert row(database)[0] is True
    assert center.stats.requests(DIRECTORY) == 0


def test_who_is_not_in_the_list_is_left_alone(
    center: Simulator, database: Database, sync: Sync, synced: list[str]
) -> None:
    before = database.query("SELECT * FROM cc_agent WHERE account = 'agent000003'")

    counts = sync(accounts=[account for account in synced if account != ANN], softphones="none")

    assert counts["deactivated"] == 0
    assert database.query("SELECT * FROM cc_agent WHERE account = 'agent000003'") == before


def test_an_account_without_a_password_is_not_closed(
    center: Simulator,
    database: Database,
    sync: Sync,
    synced: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = json.dumps({account: center.agent(account).password for account in synced if account != ANN})
    monkeypatch.setenv("AIRFLOW_CONN_PASSWORDS", json.dumps({"conn_type": "generic", "password": known}))
    center.stats.reset()

    counts = sync(accounts=synced, softphones="login_params", passwords_conn_id="passwords")

    assert (counts["deactivated"], counts["rejected"]) == (0, 1)
    assert row(database)[0] is True
    assert center.stats.requests(DIRECTORY) == 0
