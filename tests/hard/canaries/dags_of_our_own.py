"""What the example DAGs leave out: every other operator and way to sync, on a contact center of choice."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cc.operators.gateway import CCConfigLoginOperator
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator, CCQueryAgentLoginParamsOperator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    dag_id="every_operator",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"n": ""},
):
    center = {"cc_conn_id": "cc_management_default{{ params.n }}"}
    accounts = ["agent000000", "agent000001", "nobody"]
    CCConfigLoginOperator(task_id="vdn", cc_conn_id="vdn{{ params.n }}")
    CCQueryAgentInfoOperator(
        task_id="user",
        account_codes=accounts,
        auth_conn_id="user{{ params.n }}",
        on_error="collect",
        **center,
    )
    CCQueryAgentLoginParamsOperator(
        task_id="params", account_conn_ids=["account{{ params.n }}"], on_error="collect", **center
    )
    CCAgentsToSqlOperator(
        task_id="sync",
        sql_conn_id="warehouse",
        accounts=accounts,
        softphones="login_params",
        passwords_conn_id="passwords{{ params.n }}",
        table="cc_agent_by_password",
        **center,
    )
