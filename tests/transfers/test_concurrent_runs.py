"""Two runs at the same time on the same tables, as processes, end as if one had run after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import MakeCenter, Sync
from tests.transfers.database import ONLY, Database

pytestmark = pytest.mark.each_database

HISTORY = "cc_agent_history"
CHECKOUT = Path(__file__).resolve().parents[2]
BUSY: dict[str, Any] = {"history_table": HISTORY, "chunk_size": 10}
#: Runs one sync for each set of arguments, all at once, and returns their counts.
AtOnce = Callable[..., list[dict[str, Any]]]


@pytest.fixture(params=["snowflake"] if ONLY == "snowflake" else ["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    """Give an empty database of those that admit several processes."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture(scope="module")
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Start two processes; importing Airflow takes them longer than all their runs."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.transfers.sync_process"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    yield started
    for process in started:
        process.communicate(timeout=30)


@pytest.fixture
def at_once(processes: list[subprocess.Popen[str]], sync: Sync) -> AtOnce:
    def run(*runs: dict[str, Any]) -> list[dict[str, Any]]:
        kept = ("AIRFLOW_CONN_", "REQUESTS_CA_BUNDLE")
        environment = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        for number, (process, arguments) in enumerate(zip(processes, runs, strict=True)):
            command = {"run_id": f"at_once_{number}", "arguments": arguments, "environment": environment}
            assert process.stdin is not None
            print(json.dumps(command), file=process.stdin, flush=True)
        return [json.loads(process.stdout.readline()) for process in processes if process.stdout]

    return run


def truth(center: Simulator) -> list[tuple[Any, ...]]:
    agents = sorted(center.agent(account) for account in center.accounts())
    return [(agent.account, agent.agent_id, agent.agent_type) for agent in agents]


def assert_sound(database: Database, center: Simulator) -> None:
    """Insist on the center's truth, one open version for each active row, and counts that reconcile."""
    rows = "SELECT account, agent_id, agent_type FROM cc_agent WHERE is_active ORDER BY account"
    assert database.query(rows) == truth(center)
    versions = f"SELECT account, agent_id, agent_type FROM {HISTORY} WHERE valid_to IS NULL ORDER BY account"
    assert database.query(versions) == truth(center)
    overlaps = f"""
        SELECT a.account FROM {HISTORY} AS a JOIN {HISTORY} AS b
          ON a.tenant = b.tenant AND a.account = b.account AND a.valid_from < b.valid_from
        WHERE a.valid_to IS NULL OR a.valid_to > b.valid_from
    """
    assert database.query(overlaps) == []
    not_reconciled = """
        SELECT COUNT(*) FROM cc_sync_run
        WHERE finished_at IS NULL OR unique_accounts <> synced + rejected + skipped
           OR synced <> added + changed + unchanged + reactivated
    """
    assert database.query(not_reconciled) == [(0,)]
    assert database.query("SELECT * FROM cc_agent_stage") == []


def test_two_first_runs_over_a_list(make_center: MakeCenter, database: Database, at_once: AtOnce) -> None:
    center = make_center(200)
    center.faults.latency = 0.01
    run = {**BUSY, "accounts": list(center.accounts()), "softphones": "none"}

    first, second = at_once(run, run)

    assert_sound(database, center)
    assert first["added"] + second["added"] == 200
    assert first["unchanged"] + second["unchanged"] == 200
    assert database.query(f"SELECT COUNT(*) FROM {HISTORY}") == [(200,)]
    assert database.query("SELECT COUNT(DISTINCT started_at) FROM cc_sync_run") == [(2,)]


def test_a_list_and_the_directory_over_changes(
    make_center: MakeCenter, database: Database, sync: Sync, at_once: AtOnce
) -> None:
    """Each brings its own columns; who is gone is closed once."""
    center = make_center(200)
    accounts = list(center.accounts())
    sync(accounts=accounts, history_table=HISTORY)
    for account in accounts[:100]:
        center.change_agent(account, agent_type=99)
    for account in accounts[150:]:
        center.remove_agent(account)

    by_list, by_directory = at_once(
        {**BUSY, "accounts": list(reversed(accounts)), "softphones": "none"}, BUSY
    )

    assert_sound(database, center)
    changed = by_list["changed"] + by_directory["changed"]
    # Each account of another type is one change, and one version: the second run finds it done.
    assert changed == len(
        database.query(
            f"SELECT account FROM {HISTORY} WHERE valid_to IS NULL AND valid_from > "
            f"(SELECT MIN(finished_at) FROM cc_sync_run)"
        )
    )
    assert by_list["deactivated"] + by_directory["deactivated"] == 50
    assert database.query("SELECT COUNT(*) FROM cc_agent WHERE NOT is_active") == [(50,)]
