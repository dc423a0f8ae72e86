"""
### Is an agent's softphone number the right one?

Signs each agent in on CC-Gateway with the softphone number of its connection, asks the gateway which number
it sees, and signs the agent out again.

> **This takes the agent's seat.** While an agent is checked, nobody else can work as that agent, and an agent
> who is already signed in makes the check fail. So it has no schedule: run it for agents who are off duty.

**Set up**

1. A connection `cc_gateway_default` of type *CC-Gateway*: the gateway's address.
2. One connection of type *CC agent* per agent: agent ID, password, softphone number. List their ids in
   `agent_conn_ids` when triggering.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_cc.operators.gateway import CCQueryLoginInfoOperator
from airflow_provider_cc.retry_policy import CC_RETRY_POLICY

with DAG(
    dag_id="cc_check_softphones",
    description="Softphone numbers checked over the gateway; takes the agents' seats meanwhile",
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
            description="The agents to check: ids of connections of type CC agent",
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
        max_active_tis_per_dag=1,  # one seat at a time
        outlets=[Asset("cc_softphone_check")],
    ).expand(agent_conn_id=agents())
