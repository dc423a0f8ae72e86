"""Only what differs is written, and the counts say how much."""

from __future__ import annotations

from typing import Any

from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Sync
from tests.transfers.database import Database

WITHOUT_STAMP = "SELECT account, agent_id, agent_type, agent_status, is_active, first_seen_at, changed_at"


def changes(counts: dict[str, Any]) -> dict[str, int]:
    names = ("added", "changed", "unchanged", "reactivated", "deactivated", "rejected")
    return {name: counts[name] for name in names if counts[name]}


def test_a_first_run_adds_everybody(centre: Simulator, database: Database, sync: Sync) -> None:
    counts = sync(accounts=list(centre.accounts()), softphones="none")

    assert changes(counts) == {"added": 12}
    assert len(database.query("SELECT * FROM cc_agent")) == 12


def test_a_second_run_of_unchanged_data_changes_nothing(
    centre: Simulator, database: Database, sync: Sync
) -> None:
    accounts = list(centre.accounts())
    sync(accounts=accounts, softphones="none")
    before = database.query(f"{WITHOUT_STAMP} FROM cc_agent ORDER BY account")

    counts = sync(accounts=accounts, softphones="none")

    assert changes(counts) == {"unchanged": 12}
    assert database.query(f"{WITHOUT_STAMP} FROM cc_agent ORDER BY account") == before
