"""The DAG that keeps a history and checks the result, run by Airflow into a real database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse

DAG = "cc_agent_history"
SYNC, CHECK = ("sync_agents", -1), ("no_softphone_belongs_to_two_active_agents", -1)
MakeAirflow = Callable[..., AirflowHome]

pytestmark = pytest.mark.xdist_group("example_dags")  # one Airflow for all of them


def test_history_is_kept_and_checked(
    center: Simulator, duckdb_warehouse: Warehouse, example_dags: MakeAirflow
) -> None:
    """Two agents with one softphone fail the check; once one of the two is gone, all is well again."""
    first, second = center.accounts(limit=2)
    center.change_agent(second, softphone_number=center.agent(first).softphone_number)
    airflow = example_dags(center, duckdb_warehouse)

    run = airflow.run_dag(DAG)

    assert run.state == "failed"
    assert run.tasks == {SYNC: "success", CHECK: "failed"}
    assert "softphone_number" in run.log
    assert duckdb_warehouse.query("SELECT COUNT(*) FROM cc_agent_history") == [(1000,)]

    center.remove_agent(second)
    run = airflow.run_dag(DAG)

    assert run.state == "success", run.log
    assert run.tasks == {SYNC: "success", CHECK: "success"}
    closed = "SELECT account FROM cc_agent_history WHERE valid_to IS NOT NULL"
    assert duckdb_warehouse.query(closed) == [(second,)]
    kept = duckdb_warehouse.query(
        "SELECT account, agent_id, agent_type, softphone_number FROM cc_agent_history WHERE valid_to IS NULL"
    )
    agents = [center.agent(account) for account in center.accounts()]
    assert sorted(kept) == sorted(
        (agent.account, agent.agent_id, agent.agent_type, agent.softphone_number) for agent in agents
    )
    assert not [secret for secret in center.secrets() if secret in run.log]
