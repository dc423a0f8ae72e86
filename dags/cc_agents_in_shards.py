"""
### A large account list, read by many tasks, every hour

Like `cc_agents_from_accounts`, for hundreds of thousands of accounts: six tasks read a sixth of them each, on
as many workers as Airflow has, and one task applies all answers at once. There is one run in `cc_sync_run`
and one asset event. With fewer than 5,000 accounts per shard, starting a task takes longer than it saves.

**Set up**

1. A connection `cc_management_default` of type *CC-Management*: domain, app key, app secret. With the extra
   `share_session`, all tasks together sign in once. `max_concurrency` and `requests_per_second` apply to all
   tasks together.
2. A connection `warehouse` to a database that allows several writers: PostgreSQL, MariaDB, MySQL or
   Snowflake.
3. The accounts: a query on that database (`accounts_sql`).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_cc.retry_policy import CC_RETRY_POLICY
from airflow_provider_cc.transfers.agents_to_sql import cc_agents_sync

with DAG(
    dag_id="cc_agents_in_shards",
    description="Syncs the agents of a large account list with many tasks",
    doc_md=__doc__,
    schedule="@hourly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,  # a task whose worker is lost continues on another one
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
    },
    tags=["cc", "example"],
):
    cc_agents_sync(
        "sync_agents",
        shards=6,
        cc_conn_id="{{ params.cc_conn_id }}",
        sql_conn_id="{{ params.warehouse_conn_id }}",
        accounts_sql="{{ params.accounts_sql }}",
        outlets=[Asset("cc_agent")],
    )
