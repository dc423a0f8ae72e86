"""
### Problems among the agents

Starts when a sync has updated the asset `cc_agent`, and fails if the view `cc_agent_finding` has more rows of
one kind than the params allow:

| finding | one row for each active agent that |
|---|---|
| `shared_softphone_number` | has a softphone number that another active agent has, too |
| `shared_agent_id` | has an agent ID that another active agent has, too |
| `not_seen` | no run has read for `days` days, although others were read since |

To list them: `SELECT * FROM cc_agent_finding`.

**Set up**

1. The DAG `cc_agent_history`, or any other sync with `create_views=True`, which creates the view.
2. A connection `warehouse` to the same database.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param
from airflow.providers.common.sql.operators.sql import SQLTableCheckOperator

with DAG(
    dag_id="cc_agent_findings",
    description="Checks all agents after every sync",
    doc_md=__doc__,
    schedule=[Asset("cc_agent")],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,  # in case the database is unavailable; they do not change findings
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
    },
    params={
        "warehouse_conn_id": Param("warehouse", type="string", description="The database"),
        "shared_softphone_numbers": Param(0, type="integer", description="Agents that may share a number"),
        "shared_agent_ids": Param(0, type="integer", description="Agents that may share an agent ID"),
        "not_seen": Param(0, type="integer", description="Agents that may be unseen …"),
        "days": Param(7, type="number", description="… for this many days"),
    },
    tags=["cc", "example"],
):
    SQLTableCheckOperator(
        task_id="check_agents",
        conn_id="{{ params.warehouse_conn_id }}",
        table="cc_agent_finding",
        checks={
            "shared_softphone_numbers": {
                "check_statement": "COUNT(*) <= {{ params.shared_softphone_numbers }}",
                "partition_clause": "finding = 'shared_softphone_number'",
            },
            "shared_agent_ids": {
                "check_statement": "COUNT(*) <= {{ params.shared_agent_ids }}",
                "partition_clause": "finding = 'shared_agent_id'",
            },
            "not_seen": {
                "check_statement": "COUNT(*) <= {{ params.not_seen }}",
                "partition_clause": "finding = 'not_seen' AND days >= {{ params.days }}",
            },
        },
        outlets=[Asset("cc_agent_finding")],
    )
