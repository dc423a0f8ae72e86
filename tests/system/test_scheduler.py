"""A sync as in production: parsed by the DAG processor, queued by the scheduler, run by an executor."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse


def test_directory_sync_by_the_scheduler(
    centre: Simulator, duckdb_warehouse: Warehouse, airflow_home: Callable[..., AirflowHome]
) -> None:
    airflow = airflow_home(centre, duckdb_warehouse)

    with airflow.standalone():
        airflow.unpause("cc_agents_from_directory")
        airflow.trigger("cc_agents_from_directory", "by_hand")
        run = airflow.wait_for("cc_agents_from_directory", "by_hand")

    assert run.state == "success", run.log
    assert duckdb_warehouse.query("SELECT count(*) FROM cc_agent") == [(1000,)]
    assert not [secret for secret in centre.secrets() if secret in run.log]
