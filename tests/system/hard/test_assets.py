"""What waits for the agents starts when they have been synced, and is told what the sync did."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome, Run
from tests.system.hard.waiting import PATIENCE, wait_until
from tests.system.warehouse import Warehouse

SYNC, AFTER = "cc_agents_from_directory", "cc_softphone_owners"

REHEARSAL = """
import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    "rehearsal",
    schedule="@once",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={"retries": 3},  # like the others: on a busy machine Airflow loses a task now and then
):
    rehearse = CCAgentsToSqlOperator(
        task_id="rehearse", sql_conn_id="warehouse", dry_run=True, outlets=[Asset("cc_agent")]
    )
    each = CCAgentsToSqlOperator.partial(
        task_id="each", sql_conn_id="warehouse", dry_run=True, outlets=[Asset("cc_agent")]
    ).expand(tenant=["north", "south"])
    rehearse >> each
"""


def query(airflow: AirflowHome, sql: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(airflow.database, timeout=30)) as connection:
        return [value for (value,) in connection.execute(sql)]


def events(airflow: AirflowHome) -> list[str]:
    """Return the DAGs whose tasks have updated an asset, one for each update."""
    names = query(airflow, "SELECT name FROM sqlite_master")
    table = "asset_event" if "asset_event" in names else "dataset_event"
    return query(airflow, f"SELECT source_dag_id FROM {table} ORDER BY id")


def next_run(airflow: AirflowHome, before: int) -> Run:
    """Wait for the run that comes after so many others."""
    runs = f"SELECT run_id FROM dag_run WHERE dag_id = '{AFTER}' ORDER BY id"
    (run_id,) = wait_until(lambda: query(airflow, runs)[before : before + 1], "run")
    return airflow.wait_for(AFTER, run_id, PATIENCE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_what_waits_for_the_agents_starts_and_knows_the_counts(
    center: Simulator, warehouse: Warehouse, airflow_home: Callable[..., AirflowHome], tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    for dag_id in (SYNC, AFTER):
        shutil.copy(CHECKOUT / "dags" / f"{dag_id}.py", dags)
    (dags / "rehearsal.py").write_text(REHEARSAL)
    airflow = airflow_home(center, warehouse, {"AIRFLOW__CORE__DAGS_FOLDER": str(dags)})

    with airflow.standalone():
        if AIRFLOW_V_3_0_PLUS:
            airflow.wait_for_web()  # a task that finds no API server has had a try
        for dag_id in (AFTER, "rehearsal", SYNC):
            airflow.unpause(dag_id)  # each starts by itself, the sync with the run that was due last
        rehearsed = airflow.wait_for("rehearsal", seconds=PATIENCE)
        all_new = next_run(airflow, before=0)
        written = warehouse.query("SELECT * FROM cc_softphone_owner")
        airflow.trigger(SYNC, "once_more")
        nothing_new = next_run(airflow, before=1)

    assert set(rehearsed.tasks.values()) == {"success"}, rehearsed.log
    assert set(events(airflow)) >= {SYNC}
    assert "rehearsal" not in events(airflow)
    assert all_new.state == nothing_new.state == "success", nothing_new.log
    assert all_new.tasks == {("an_agent_has_changed", -1): "success", ("keep_owners", -1): "success"}
    assert nothing_new.tasks == {("an_agent_has_changed", -1): "success", ("keep_owners", -1): "skipped"}
    assert "'added': 1000" in all_new.log
    agents = [center.agent(account) for account in center.accounts()]
    assert sorted(written) == sorted(
        ("cc_management_default", agent.softphone_number, agent.account, agent.agent_id)
        for agent in agents
        if agent.softphone_number
    )
