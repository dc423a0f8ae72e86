"""A task that is killed in the middle of a sync, and Airflow's own retry, which goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome
from tests.system.warehouse import Warehouse

CHUNK, CONCURRENCY, ACCOUNTS = 100, 8, 1000

DAG = f"""
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from tests.transfers.killing import Moment


class KilledOnce(CCAgentsToSqlOperator):
    def pre_execute(self, context):
        if context["ti"].try_number == 1:
            Moment("commit", 4).arm()


with DAG("killed_once", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    KilledOnce(
        task_id="sync_agents",
        sql_conn_id="warehouse",
        accounts_sql="SELECT account FROM cc_account",
        softphones="none",
        history_table="cc_agent_history",
        chunk_size={CHUNK},
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
"""


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_task_killed_in_mid_run_is_finished_by_its_retry(
    tmp_path: Path, warehouse: Warehouse, airflow_home: Callable[..., AirflowHome]
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "killed_once.py").write_text(DAG)
    with Simulator(Settings(agents=ACCOUNTS, seed=7, tls=True, count_accounts=True)) as centre:
        accounts = list(centre.accounts())
        warehouse.execute("CREATE TABLE cc_account (account VARCHAR(64))")
        warehouse.execute(
            "INSERT INTO cc_account VALUES (:account)", rows=[{"account": account} for account in accounts]
        )
        connection = centre.connections()["cc_management_default"]
        connection["extra"]["max_concurrency"] = CONCURRENCY
        airflow = airflow_home(
            centre,
            warehouse,
            {
                "AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT": json.dumps(connection),
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "PYTHONPATH": str(CHECKOUT),
            },
        )

        with airflow.standalone():
            airflow.unpause("killed_once")
            airflow.trigger("killed_once", "by_hand")
            run = airflow.wait_for("killed_once", "by_hand", seconds=200)

        asked_again = [account for account in accounts if centre.stats.accounts[account] > 1]

    assert run.state == "success", run.log
    counts = run.xcoms["sync_agents", -1]
    assert (counts["requested"], counts["synced"], counts["added"]) == (ACCOUNTS, ACCOUNTS, ACCOUNTS)
    assert counts["resumed"] == 3 * CHUNK
    assert 0 < len(asked_again) <= 2 * CHUNK + CONCURRENCY
    # All in one run: the two tries share a line of the ledger, and its start is every stamp.
    ((started_at, tries, finished_at),) = warehouse.query(
        "SELECT started_at, tries, finished_at FROM cc_sync_run"
    )
    assert tries == 2
    assert finished_at is not None
    assert warehouse.query("SELECT synced_at, COUNT(*) FROM cc_agent GROUP BY 1") == [(started_at, ACCOUNTS)]
    assert warehouse.query("SELECT valid_from, COUNT(*) FROM cc_agent_history GROUP BY 1") == [
        (started_at, ACCOUNTS)
    ]
