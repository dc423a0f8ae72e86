"""
### All agents of the directory, every hour

Reads the agent directory of CC-Management and keeps agent ID, type and softphone number of every sign-in
account in the table `cc_agent`. Accounts that cannot be read go to `cc_agent_reject` with the reason; the
counts of each run go to `cc_sync_run`. Missing tables are created, and no account list is needed.

The directory does not contain the agent status. If you need it, let `cc_agents_from_accounts` add it to the
same table: each of the two DAGs writes only the columns that its source returns.

**Set up**

1. A connection `cc_management_default` of type *CC-Management*: domain, app key, app secret.
2. A connection `warehouse` to the database, of any type with an SQL hook.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_cc.retry_policy import CC_RETRY_POLICY
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    dag_id="cc_agents_from_directory",
    description="Syncs all agents of the directory into the warehouse",
    doc_md=__doc__,
    schedule="30 * * * *",  # half an hour away from cc_agents_from_accounts, which writes the same table
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
    },
    tags=["cc", "example"],
):
    CCAgentsToSqlOperator(
        task_id="sync_agents",
        cc_conn_id="{{ params.cc_conn_id }}",
        sql_conn_id="{{ params.warehouse_conn_id }}",
        outlets=[Asset("cc_agent")],
    )
