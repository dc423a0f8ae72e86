"""The example DAGs, run by one Airflow against contact centers over TLS, into real databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from scripts.airflow_home import AirflowHome
from tests.system.warehouse import Warehouse

FROM_ACCOUNTS, FROM_DIRECTORY = "cc_agents_from_accounts", "cc_agents_from_directory"
UNKNOWN = ["leaver.one", "leaver.two", "4711"]
HISTORY = "cc_agent_history"
SYNC, CHECK = ("sync_agents", -1), ("no_softphone_belongs_to_two_active_agents", -1)
MakeAirflow = Callable[..., AirflowHome]
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


def test_history_is_kept_and_checked(
    center: Simulator, duckdb_warehouse: Warehouse, example_dags: MakeAirflow
) -> None:
    """Two agents with one softphone fail the check; once one of the two is gone, all is well again."""
    first, second = center.accounts(limit=2)
    center.change_agent(second, softphone_number=center.agent(first).softphone_number)
    airflow = example_dags(center, duckdb_warehouse)

    run = airflow.run_dag(HISTORY)

    assert run.state == "failed"
    assert run.tasks == {SYNC: "success", CHECK: "failed"}
    assert "softphone_number" in run.log
    assert duckdb_warehouse.query("SELECT COUNT(*) FROM cc_agent_history") == [(1000,)]

    center.remove_agent(second)
    run = airflow.run_dag(HISTORY)

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


def test_softphones_are_checked_and_seats_given_back(center: Simulator, example_dags: MakeAirflow) -> None:
    agents = [center.agent(account) for account in center.accounts(limit=2)]
    second = {
        "conn_type": "cc_agent",
        "login": str(agents[1].agent_id),
        "password": agents[1].agent_password,
        "extra": {"phone_number": agents[1].softphone_number},
    }
    airflow = example_dags(center, extra={"AIRFLOW_CONN_SECOND": json.dumps(second)})

    run = airflow.run_dag("cc_check_softphones", {"agent_conn_ids": ["cc_agent_default", "second"]})

    assert run.state == "success", run.log
    for index, agent in enumerate(agents):
        told = run.xcoms["check_softphone", index]
        assert (told["agent_id"], told["softphone_number"]) == (agent.agent_id, agent.softphone_number)
    assert center.signed_in_agents() == []
    assert not [secret for secret in center.secrets() if secret in run.log]
    assert not [agent for agent in agents if agent.agent_password in run.log]


def test_isales_session(center: Simulator, example_dags: MakeAirflow) -> None:
    run = example_dags(center).run_dag("cc_isales_session")

    assert run.state == "success", run.log
    told = run.xcoms["sign_in", -1]
    assert told["conn_id"] == "cc_isales_default"
    assert told["expires_at"]
    assert not [secret for secret in center.secrets() if secret in run.log + json.dumps(told)]
