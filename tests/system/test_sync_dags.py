"""The sync DAGs, run by Airflow against a contact centre over TLS, into a database of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse

FROM_ACCOUNTS, FROM_DIRECTORY = "cc_agents_from_accounts", "cc_agents_from_directory"
UNKNOWN = ["leaver.one", "leaver.two", "4711"]
MakeAirflow = Callable[..., AirflowHome]


def truth(centre: Simulator, *fields: str) -> list[tuple[Any, ...]]:
    agents = (centre.agent(account) for account in centre.accounts())
    return sorted(tuple(getattr(agent, field) for field in ("account", *fields)) for agent in agents)


def assert_no_secret(centre: Simulator, airflow: AirflowHome, *texts: str) -> None:
    written = [path for path in airflow.directory.rglob("*") if path.is_file()]
    for text in (*texts, *(path.read_bytes().decode(errors="replace") for path in written)):
        assert not [secret for secret in centre.secrets() if secret in text]


def test_accounts_of_a_query(centre: Simulator, warehouse: Warehouse, airflow_home: MakeAirflow) -> None:
    warehouse.add_accounts([*centre.accounts(), *UNKNOWN])
    airflow = airflow_home(centre, warehouse)

    run = airflow.run_dag(FROM_ACCOUNTS)

    assert run.state == "success", run.log
    synced = warehouse.query(
        "SELECT account, agent_id, agent_type, agent_status FROM cc_agent ORDER BY account"
    )
    assert sorted(synced) == truth(centre, "agent_id", "agent_type", "agent_status")
    assert sorted(warehouse.query("SELECT account FROM cc_agent_reject")) == [
        (name,) for name in sorted(UNKNOWN)
    ]
    counts = run.xcoms["sync_agents", -1]
    assert counts["requested"] == counts["unique"] == 1003
    assert (counts["synced"], counts["added"], counts["rejected"]) == (1000, 1000, 3)
    assert counts["sign_ins"] == 1
    assert len(warehouse.query("SELECT * FROM cc_sync_run WHERE finished_at IS NOT NULL")) == 1
    assert_no_secret(centre, airflow, run.log)


def test_directory(centre: Simulator, duckdb_warehouse: Warehouse, airflow_home: MakeAirflow) -> None:
    airflow = airflow_home(centre, duckdb_warehouse)

    run = airflow.run_dag(FROM_DIRECTORY)

    assert run.state == "success", run.log
    synced = duckdb_warehouse.query("SELECT account, agent_id, agent_type, softphone_number FROM cc_agent")
    assert sorted(synced) == truth(centre, "agent_id", "agent_type", "softphone_number")
    counts = run.xcoms["sync_agents", -1]
    assert (counts["synced"], counts["rejected"], counts["sign_ins"]) == (1000, 0, 1)
    assert_no_secret(centre, airflow, run.log)


def test_both_fill_one_table(
    centre: Simulator, duckdb_warehouse: Warehouse, airflow_home: MakeAirflow
) -> None:
    """Neither takes away what only the other knows, and a repetition changes nothing."""
    duckdb_warehouse.add_accounts(centre.accounts())
    airflow = airflow_home(centre, duckdb_warehouse)

    runs = [airflow.run_dag(dag_id) for dag_id in (FROM_ACCOUNTS, FROM_DIRECTORY, FROM_ACCOUNTS)]

    assert [run.state for run in runs] == ["success"] * 3, "\n".join(run.log for run in runs)
    synced = duckdb_warehouse.query("SELECT account, agent_id, agent_status, softphone_number FROM cc_agent")
    assert sorted(synced) == truth(centre, "agent_id", "agent_status", "softphone_number")
    repeated = runs[-1].xcoms["sync_agents", -1]
    assert (repeated["added"], repeated["changed"], repeated["unchanged"]) == (0, 0, 1000)


def test_accounts_typed_in(centre: Simulator, duckdb_warehouse: Warehouse, airflow_home: MakeAirflow) -> None:
    accounts = list(centre.accounts(limit=3))

    run = airflow_home(centre, duckdb_warehouse).run_dag(FROM_ACCOUNTS, {"accounts": accounts})

    assert run.state == "success", run.log
    assert sorted(duckdb_warehouse.query("SELECT account FROM cc_agent")) == [
        (name,) for name in sorted(accounts)
    ]
