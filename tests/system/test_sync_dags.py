"""The sync DAGs, run by Airflow against a contact center over TLS, one after the other into one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse

FROM_ACCOUNTS, FROM_DIRECTORY = "cc_agents_from_accounts", "cc_agents_from_directory"
UNKNOWN = ["leaver.one", "leaver.two", "4711"]
MakeAirflow = Callable[..., AirflowHome]

pytestmark = pytest.mark.xdist_group("example_dags")  # one Airflow for all of them


def truth(center: Simulator, *fields: str) -> list[tuple[Any, ...]]:
    agents = (center.agent(account) for account in center.accounts())
    return sorted(tuple(getattr(agent, field) for field in ("account", *fields)) for agent in agents)


def assert_no_secret(center: Simulator, airflow: AirflowHome, *texts: str) -> None:
    written = [path for path in airflow.directory.rglob("*") if path.is_file()]
    for text in (*texts, *(path.read_bytes().decode(errors="replace") for path in written)):
        assert not [secret for secret in center.secrets() if secret in text]


def test_both_fill_one_table(
    center: Simulator, duckdb_warehouse: Warehouse, example_dags: MakeAirflow
) -> None:
    """Neither takes away what only the other knows; accounts typed in come in place of the query's."""
    duckdb_warehouse.add_accounts([*center.accounts(), *UNKNOWN])
    airflow = example_dags(center, duckdb_warehouse)

    run = airflow.run_dag(FROM_ACCOUNTS)

    assert run.state == "success", run.log
    synced = duckdb_warehouse.query("SELECT account, agent_id, agent_type, agent_status FROM cc_agent")
    assert sorted(synced) == truth(center, "agent_id", "agent_type", "agent_status")
    assert sorted(duckdb_warehouse.query("SELECT account FROM cc_agent_reject")) == [
        (name,) for name in sorted(UNKNOWN)
    ]
    counts = run.xcoms["sync_agents", -1]
    assert counts["requested"] == counts["unique"] == 1003
    assert (counts["synced"], counts["added"], counts["rejected"]) == (1000, 1000, 3)
    assert counts["sign_ins"] == 1
    assert len(duckdb_warehouse.query("SELECT * FROM cc_sync_run WHERE finished_at IS NOT NULL")) == 1
    assert_no_secret(center, airflow, run.log)

    run = airflow.run_dag(FROM_DIRECTORY)

    assert run.state == "success", run.log
    synced = duckdb_warehouse.query("SELECT account, agent_id, agent_status, softphone_number FROM cc_agent")
    assert sorted(synced) == truth(center, "agent_id", "agent_status", "softphone_number")
    counts = run.xcoms["sync_agents", -1]
    assert (counts["synced"], counts["rejected"], counts["sign_ins"]) == (1000, 0, 1)
    assert_no_secret(center, airflow, run.log)

    run = airflow.run_dag(FROM_ACCOUNTS, {"accounts": list(center.accounts(limit=3))})

    assert run.state == "success", run.log
    counts = run.xcoms["sync_agents", -1]
    assert (counts["requested"], counts["unchanged"], counts["deactivated"]) == (3, 3, 0)
