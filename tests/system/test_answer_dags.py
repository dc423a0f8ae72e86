"""The DAGs that read the views, run by Airflow after syncs into a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse

MakeAirflow = Callable[..., AirflowHome]

pytestmark = pytest.mark.xdist_group("example_dags")  # one Airflow for all of them


Sync = Callable[[], None]


@pytest.fixture
def sync(center: Simulator, duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Sync with history and views, each time in a run of its own."""
    environment = {**center.environment(), "AIRFLOW_CONN_WAREHOUSE": json.dumps(duckdb_warehouse.connection)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run() -> None:
        tables: dict[str, Any] = {"history_table": "cc_agent_history", "create_views": True}
        CCAgentsToSqlOperator(task_id="sync", sql_conn_id="warehouse", **tables).execute({})

    return run


def test_each_change_is_taken_once(
    center: Simulator, duckdb_warehouse: Warehouse, example_dags: MakeAirflow, sync: Sync
) -> None:
    """By a DAG that runs twice, with two syncs in between."""
    airflow = example_dags(center, duckdb_warehouse)
    first, second, third = center.accounts(limit=3)
    number, other = (center.agent(account).softphone_number for account in (first, second))

    def taken() -> list[tuple[Any, ...]]:
        run = airflow.run_dag("cc_agent_changes")
        assert run.state == "success", run.log
        return duckdb_warehouse.query(
            "SELECT account, column_name, old_value, new_value FROM cc_agent_change_log"
        )

    sync()
    before = taken()
    assert len(before) == 4 * 1000  # active, agent ID, type and softphone number

    center.change_agent(first, softphone_number=other)
    sync()
    center.remove_agent(third)
    sync()
    after = taken()
    assert len(after) == len(before) + 1 + 4
    assert set(before) < set(after)
    assert (first, "softphone_number", number, other) in after
    assert (third, "is_active", "true", "false") in after


def test_a_finding_fails_the_check(
    center: Simulator, duckdb_warehouse: Warehouse, example_dags: MakeAirflow, sync: Sync
) -> None:
    first, second = center.accounts(limit=2)
    number = center.agent(second).softphone_number
    center.change_agent(first, softphone_number=number)
    sync()

    run = example_dags(center, duckdb_warehouse).run_dag("cc_agent_findings")

    assert (run.state, run.tasks) == ("failed", {("check_agents", -1): "failed"}), run.log
    assert "Check: shared_softphone_numbers" in run.log
    assert "Check: shared_agent_ids" not in run.log
    found = duckdb_warehouse.query("SELECT finding, account, value FROM cc_agent_finding ORDER BY account")
    assert found == [("shared_softphone_number", account, number) for account in (first, second)]
