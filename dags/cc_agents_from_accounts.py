"""
### Agents of an account list, every hour

Queries CC-Management for the agent ID, type and status of every sign-in account and keeps them in the table
`cc_agent`. Accounts that cannot be read go to `cc_agent_reject` with the reason; the counts of each run go to
`cc_sync_run`. Missing tables are created.

**Set up**

1. A connection `cc_management_default` of type *CC-Management*: domain, app key, app secret.
2. A connection `warehouse` to the database, of any type with an SQL hook.
3. The accounts: a query on that database (`accounts_sql`), or a list that you enter when you trigger the DAG
   (`accounts`, which replaces the query).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_cc.retry_policy import CC_RETRY_POLICY
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    dag_id="cc_agents_from_accounts",
    description="Syncs the agents of a list of sign-in accounts into the warehouse",
    doc_md=__doc__,
    schedule="@hourly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "retry_policy": CC_RETRY_POLICY,  # from Airflow 3.3 on
    },
    params={
        "cc_conn_id": Param("cc_management_default", type="string", description="The contact center"),
        "warehouse_conn_id": Param("warehouse", type="string", description="The database"),
        "accounts_sql": Param(
            "SELECT account FROM cc_account",
            type="string",
            description="Query on the database that returns the account codes",
        ),
        "accounts": Param(
            [], type="array", items={"type": "string"}, description="Account codes, instead of the query"
        ),
    },
    render_template_as_native_obj=True,  # so that the accounts arrive as a list
    tags=["cc", "example"],
):
    CCAgentsToSqlOperator(
        task_id="sync_agents",
        cc_conn_id="{{ params.cc_conn_id }}",
        sql_conn_id="{{ params.warehouse_conn_id }}",
        accounts="{{ params.accounts or none }}",
        accounts_sql="{{ none if params.accounts else params.accounts_sql }}",
        outlets=[Asset("cc_agent")],
    )
