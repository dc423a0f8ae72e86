"""
### A new agent in the table, as soon as the contact center lists it

When a new agent has been requested and its account code is known, trigger this DAG with the code. It waits
until the account is an agent, without occupying a worker, and then adds the agent to the table `cc_agent`
immediately, instead of with the next hourly sync. It fails after a day.

**Set up**

1. A connection `cc_management_default` of type *CC-Management*: domain, app key, app secret.
2. A connection `warehouse` to the database, of any type with an SQL hook.
3. A running triggerer: the DAG waits there.
4. Trigger the DAG with the account code as `account`.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_cc.retry_policy import CC_RETRY_POLICY
from airflow_provider_cc.sensors.management import CCAgentSensor
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    dag_id="cc_wait_for_agent",
    description="Waits until an account is an agent, and adds it to the warehouse",
    doc_md=__doc__,
    schedule=None,
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
        "account": Param("agent000001", type="string", description="Account code of the new agent"),
    },
    tags=["cc", "example"],
):
    wait_for_agent = CCAgentSensor(
        task_id="wait_for_agent",
        cc_conn_id="{{ params.cc_conn_id }}",
        account_code="{{ params.account }}",
        deferrable=True,
        poke_interval=timedelta(minutes=1),
        timeout=timedelta(days=1),
    )
    sync_agent = CCAgentsToSqlOperator(
        task_id="sync_agent",
        cc_conn_id="{{ params.cc_conn_id }}",
        sql_conn_id="{{ params.warehouse_conn_id }}",
        accounts=["{{ params.account }}"],
        outlets=[Asset("cc_agent")],
    )
    wait_for_agent >> sync_agent
