"""Every operator in one DAG, with what feeds operators in practice: XComs, templates, mapped tasks."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_cc.operators.gateway import CCConfigLoginOperator, CCQueryLoginInfoOperator
from airflow_provider_cc.operators.isales import CCISalesLoginOperator
from airflow_provider_cc.operators.management import (
    CCQueryAgentInfoOperator,
    CCQueryAgentLoginParamsOperator,
)
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    dag_id="operators",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"warehouse": "warehouse", "tenant": "north", "center": "cc_management_default", "low": "000002"},
):

    @task
    def accounts() -> list[str]:
        return [*(f"agent{number:06d}" for number in range(10)), "{{ 7 * 7 }}", "nobody.sql", "agent000000"]

    @task
    def no_accounts() -> list[str]:
        return []

    @task
    def nothing() -> None:
        return None

    @task
    def groups() -> list[list[str]]:
        return [["agent000000", "agent000001"], ["agent000002"]]

    @task
    def one(number: int) -> str:
        return f"agent{number:06d}"

    codes = accounts()
    sync = {"sql_conn_id": "{{ params.warehouse }}", "softphones": "none"}

    CCAgentsToSqlOperator(
        task_id="sync_list",
        accounts=codes,
        tenant="{{ params.tenant }}",
        cc_conn_id="{{ params.center }}",
        history_table="cc_{{ params.tenant }}_history",
        outlets=[Asset("cc://agents")],
        **sync,
    )
    CCAgentsToSqlOperator(task_id="sync_mapped_upstream", accounts=one.expand(number=[3, 4, 5]), **sync)
    CCAgentsToSqlOperator(task_id="sync_nobody", accounts=no_accounts(), **sync)
    CCAgentsToSqlOperator(task_id="sync_nothing", accounts=nothing(), **sync)
    CCAgentsToSqlOperator(
        task_id="sync_query", accounts_sql="SELECT 'agent{{ params.low }}' /* {{ run_id }} */", **sync
    )
    CCAgentsToSqlOperator.partial(task_id="sync_expanded", **sync).expand(accounts=groups())
    rehearsal = {"dry_run": True, "outlets": [Asset("cc://agents")], **sync}
    CCAgentsToSqlOperator(task_id="rehearsal", accounts=codes, **rehearsal)
    CCAgentsToSqlOperator.partial(task_id="rehearsal_expanded", **rehearsal).expand(accounts=groups())

    CCQueryAgentInfoOperator(task_id="info", account_codes=one(7))
    CCQueryAgentInfoOperator(
        task_id="info_list",
        account_codes=["agent{{ params.low }}", "{{ params.tenant }}"],
        on_error="collect",
    )
    CCQueryAgentInfoOperator.partial(task_id="info_expanded").expand(account_codes=groups())
    CCQueryAgentInfoOperator(task_id="info_mapped_upstream", account_codes=one.expand(number=[6, 7]))
    CCQueryAgentLoginParamsOperator(task_id="login_params", account_conn_ids=["agent_{{ params.low }}"])
    CCQueryAgentLoginParamsOperator.partial(task_id="login_params_expanded").expand(
        account_conn_ids=["agent_000002"]
    )
    CCQueryLoginInfoOperator.partial(task_id="login_info").expand(agent_conn_id=["cc_agent_default"])
    CCConfigLoginOperator.partial(task_id="config_login").expand(cc_conn_id=["gateway_shared"])
    CCISalesLoginOperator(task_id="isales_login", cc_conn_id="cc_isales_default")
