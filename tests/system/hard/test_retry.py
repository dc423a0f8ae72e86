"""Airflow's own retries: made where they may help, not made where they cannot, and going on after a kill."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_cc.retry_policy import CC_RETRY_POLICY
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
    with Simulator(Settings(agents=ACCOUNTS, seed=7, tls=True, count_accounts=True)) as center:
        accounts = list(center.accounts())
        warehouse.add_accounts(accounts)
        connection = center.connections()["cc_management_default"]
        connection["extra"]["max_concurrency"] = CONCURRENCY
        airflow = airflow_home(
            center,
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

        asked_again = [account for account in accounts if center.stats.accounts[account] > 1]

    assert run.state == "success", run.log
    counts = run.xcoms["sync_agents", -1]
    assert (counts["requested"], counts["synced"], counts["added"]) == (ACCOUNTS, ACCOUNTS, ACCOUNTS)
    assert counts["resumed"] == 3 * CHUNK
    assert 0 < len(asked_again) <= 2 * CHUNK + CONCURRENCY
    # All in one run: the two tries share a line of the ledger. What the first one read kept its moment.
    ((started_at, tries, finished_at),) = warehouse.query(
        "SELECT started_at, tries, finished_at FROM cc_sync_run"
    )
    assert tries == 2
    rows = warehouse.query("SELECT account, synced_at FROM cc_agent ORDER BY synced_at")
    moments = [moment for _, moment in rows]
    assert len(moments) == ACCOUNTS
    assert started_at <= moments[0] <= moments[-1] <= finished_at
    assert moments[3 * CHUNK] - moments[3 * CHUNK - 1] >= timedelta(seconds=1)  # Airflow's retry_delay
    assert sorted(warehouse.query("SELECT account, valid_from FROM cc_agent_history")) == sorted(rows)
    assert warehouse.query("SELECT * FROM cc_agent_stage") == []


FAILING = """
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator
from airflow_provider_cc.retry_policy import CC_RETRY_POLICY

with DAG(
    "failing",
    schedule="@once",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=2),
        "retry_exponential_backoff": True,
        "retry_policy": CC_RETRY_POLICY,
    },
):
    CCQueryAgentInfoOperator(task_id="not_there", cc_conn_id="not_there", account_codes="agent000001")
    CCQueryAgentInfoOperator(task_id="unconfigured", cc_conn_id="unconfigured", account_codes="agent000001")
    CCQueryAgentInfoOperator(task_id="refused", cc_conn_id="refused", account_codes="agent000001")
    if CC_RETRY_POLICY is not None:
        CCQueryAgentInfoOperator(task_id="declined", account_codes="nobody")
        CCQueryAgentInfoOperator.partial(task_id="bad_argument").expand(account_codes=["x" * 65])
"""


@pytest.mark.timeout(600)  # the executor of Airflow 2 on SQLite takes one task at a time
def test_only_what_may_pass_is_tried_again(
    tmp_path: Path, center: Simulator, airflow_home: Callable[..., AirflowHome]
) -> None:
    """Before Airflow 3.3 there is no policy; the exceptions themselves stop the retries that do harm."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "failing.py").write_text(FAILING)
    there = center.connections()["cc_management_default"]
    with Simulator(Settings(agents=10, seed=8, tls=True)) as broken:
        # Whether it looked at the credential nobody knows, so the hook itself does not ask again.
        broken.faults.only, broken.faults.errors = {"tokenByAkSk"}, {502: 1.0}
        connections = {
            "not_there": broken.connections()["cc_management_default"],
            "unconfigured": {"conn_type": "cc_management"},
            "refused": there | {"password": "not-the-secret"},
        }
        airflow = airflow_home(
            center,
            extra={
                **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "60",
            },
        )
        with airflow.standalone():
            if AIRFLOW_V_3_0_PLUS:
                airflow.wait_for_web()  # a task that finds no API server has had a try, too
            airflow.unpause("failing")
            run = airflow.wait_for("failing", seconds=540)
        sign_ins = broken.stats.requests("tokenByAkSk")

    assert set(run.tasks.values()) == {"failed"}, run.log
    for_policy = {"declined": 1, "bad_argument": 1} if CC_RETRY_POLICY is not None else {}
    with contextlib.closing(sqlite3.connect(airflow.database)) as metadata:
        tries = dict(metadata.execute("SELECT task_id, try_number FROM task_instance"))
        pauses = [
            pause
            for (pause,) in metadata.execute(
                "SELECT (julianday(later.start_date) - julianday(earlier.end_date)) * 86400"
                " FROM task_instance_history AS earlier"
                " JOIN (SELECT task_id, try_number, start_date FROM task_instance_history"
                " UNION SELECT task_id, try_number, start_date FROM task_instance) AS later"
                " ON later.task_id = earlier.task_id AND later.try_number = earlier.try_number + 1"
                " WHERE earlier.task_id = 'not_there' ORDER BY earlier.try_number"
            )
        ]
    assert tries == {"not_there": 3, "unconfigured": 1, "refused": 1, **for_policy}
    assert sign_ins == 3
    assert center.stats.refused("management") == 1
    assert [pause >= least for pause, least in zip(pauses, (2, 4), strict=True)] == [True, True], pauses
    if CC_RETRY_POLICY is not None:
        assert "no answer, or a temporary failure" in run.log
    assert "not-the-secret" not in run.log
