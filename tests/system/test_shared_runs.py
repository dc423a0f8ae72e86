"""A sync that many tasks share, by the scheduler and its executor, side by side into PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from scripts.ports import free_port
from tests.system.warehouse import Warehouse

SHARDS = 3
DAG = f"""
import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cc.transfers.agents_to_sql import cc_agents_sync

with DAG("shared", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    cc_agents_sync(
        "sync",
        shards={SHARDS},
        cc_conn_id=["cc_down", "cc_up"],
        sql_conn_id="warehouse",
        accounts_sql="SELECT account FROM cc_account",
        outlets=[Asset("cc_agent")],
    )
"""


def events(airflow: AirflowHome) -> list[dict[str, object]]:
    """Return what came with each update of an asset."""
    with contextlib.closing(sqlite3.connect(airflow.database, timeout=30)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        table = "asset_event" if "asset_event" in names else "dataset_event"
        return [json.loads(extra) for (extra,) in connection.execute(f"SELECT extra FROM {table}")]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_many_tasks_are_one_run(
    center: Simulator, warehouse: Warehouse, airflow_home: Callable[..., AirflowHome], tmp_path: Path
) -> None:
    """Another contact center is down, which neither holds up nor spoils the one that is not."""
    warehouse.add_accounts([*center.accounts(), "nobody", "agent000007"])
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "shared.py").write_text(DAG)
    connection = center.connections()["cc_management_default"]
    connection["extra"] |= {"share_session": True}
    environment = {
        "AIRFLOW_CONN_CC_UP": json.dumps(connection),
        "AIRFLOW_CONN_CC_DOWN": json.dumps({**connection, "port": free_port()}),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
    }
    airflow = airflow_home(center, warehouse, environment)

    with airflow.standalone(), airflow.one_process():
        airflow.unpause("shared")
        airflow.trigger("shared", "by_hand")
        run = airflow.wait_for("shared", "by_hand", 600)

    assert run.state == "failed"
    states = {task_id.removeprefix("sync."): state for (task_id, _), state in run.tasks.items()}
    assert states == {
        **dict.fromkeys(("cc_up.prepare", "cc_up.read", "cc_up.apply"), "success"),
        "cc_down.prepare": "failed",
        **dict.fromkeys(("cc_down.read", "cc_down.apply"), "upstream_failed"),
    }, run.log
    reads = [run.xcoms["sync.cc_up.read", shard] for shard in range(SHARDS)]
    counts = run.xcoms["sync.cc_up.apply", -1]
    assert all(read["synced"] > 250 for read in reads)
    assert sum(read["synced"] for read in reads) == counts["synced"] == counts["added"] == 1000
    assert (counts["requested"], counts["duplicates"], counts["rejected"]) == (1002, 1, 1)
    (event,) = events(airflow)
    assert {name: event[name] for name in counts} == counts
    assert (center.stats.sign_ins(), counts["sign_ins"]) == (1, 1)
    # Pages of 100 lines, and the end: the directory is read once, not by each shard.
    assert center.stats.requests("agentAccount/query") == 11
    ledger = dict(
        (tenant, (*rest,))
        for tenant, *rest in warehouse.query(
            "SELECT tenant, task_id, map_index, requested, synced, error FROM cc_sync_run"
        )
    )
    assert ledger["cc_up"] == ("sync.cc_up", -1, 1002, 1000, None)
    assert "connect" in ledger["cc_down"][-1]
    assert warehouse.query("SELECT tenant, count(*) FROM cc_agent GROUP BY tenant") == [("cc_up", 1000)]
    assert warehouse.query("SELECT count(*) FROM cc_agent_stage") == [(0,)]
    assert not [secret for secret in center.secrets() if secret in run.log]
