"""
### Is an agent's softphone number correct?

Signs each agent in to CC-Gateway with the softphone number of its connection, queries which number the
gateway sees, and signs the agent out again.

> **This signs the agent in.** While an agent is being checked, no one else can work as that agent, and the
> check fails if the agent is already signed in. So the DAG has no schedule: run it for agents who are off
> duty.

**Set up**

1. A connection `cc_gateway_default` of type *CC-Gateway*: the gateway's address.
2. One connection of type *CC agent* per agent: agent ID, password, softphone number. List their IDs in
   `agent_conn_ids` when you trigger the DAG.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_cc.operators.gateway import CCQueryLoginInfoOperator
from airflow_provider_cc.retry_policy import CC_RETRY_POLICY

with DAG(
    dag_id="cc_check_softphones",
    description="Verifies softphone numbers on the gateway; signs the agents in to do so",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "retry_policy": CC_RETRY_POLICY,  # from Airflow 3.3 on
    },
    params={
        "cc_conn_id": Param("cc_gateway_default", type="string", description="The gateway"),
        "agent_conn_ids": Param(
            ["cc_agent_default"],
            type="array",
            items={"type": "string"},
            minItems=1,
            description="The agents to check: IDs of connections of type CC agent",
        ),
    },
    tags=["cc", "example"],
):

    @task
    def agents(params: dict[str, list[str]]) -> list[str]:
        return list(params["agent_conn_ids"])

    CCQueryLoginInfoOperator.partial(
        task_id="check_softphone",
        cc_conn_id="{{ params.cc_conn_id }}",
        max_active_tis_per_dag=1,  # one agent at a time
        outlets=[Asset("cc_softphone_check")],
    ).expand(agent_conn_id=agents())
