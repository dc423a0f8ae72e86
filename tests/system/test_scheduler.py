"""A sync as in production, queued by the scheduler, run by an executor: its log, metrics and spans."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.monitoring import Collector, StatsD
from tests.system.warehouse import Warehouse

DAG = "cc_agents_from_directory"
#: What a sync says of itself, from the first line to the last.
SAID = re.compile(r"Plan: |accounts, \d+ a second|Synced: |Sync failed ")


def test_directory_sync_by_the_scheduler(
    centre: Simulator, duckdb_warehouse: Warehouse, airflow_home: Callable[..., AirflowHome]
) -> None:
    with StatsD() as statsd, Collector() as collector:
        airflow = airflow_home(
            centre, duckdb_warehouse, extra={**collector.environment(), **statsd.environment()}
        )

        with airflow.standalone():
            airflow.unpause(DAG)
            airflow.trigger(DAG, "by_hand")
            run = airflow.wait_for(DAG, "by_hand")
        metrics = statsd.received()

    assert run.state == "success", run.log
    assert duckdb_warehouse.query("SELECT count(*) FROM cc_agent") == [(1000,)]
    assert not [secret for secret in centre.secrets() if secret in run.log]

    (log,) = (airflow.directory / "logs").rglob("run_id=by_hand/**/attempt=1.log")
    assert SAID.findall(log.read_text()) == ["Plan: ", "Synced: "]
    assert "softphones='directory') into cc_agent on duckdb (connection 'warehouse')" in log.read_text()

    # Beside the one by hand, there is the run that was due.
    assert sum(metric.value for metric in metrics["cc.sync.accounts.added"]) == 1000
    assert {metric.tags["dag_id"] for metric in metrics["cc.sync.accounts.added"]} == {DAG}
    spans = collector.named("cc.sync.")
    assert set(spans) == {"cc.sync.read", "cc.sync.stage", "cc.sync.apply"}
    if not version("apache-airflow").startswith("3.0."):  # which does not tell a task its span
        ((_, parent),) = {(span.trace_id, span.parent_span_id) for span in spans.values()}
        assert parent
