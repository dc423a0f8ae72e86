"""
### Who had which softphone number, and when

Reads the agent directory of CC-Management every hour, keeps the agents in the table `cc_agent`, and keeps
every version of each agent in `cc_agent_history`. You can then join a call to the agent who had its softphone
number at that time. Views on the tables answer the usual questions, such as who took a call and how certain
that is.

The second task checks the result. If two active agents of the contact center have the same softphone number,
a call would be joined to both of them. The task then fails, and DAGs scheduled on the asset
`cc_agent_history` do not start. Accounts without a softphone number are allowed. To list the agents that
share a number:

```sql
SELECT softphone_number, account, agent_id
FROM cc_agent
WHERE is_active AND softphone_number IN (
    SELECT softphone_number FROM cc_agent WHERE is_active GROUP BY softphone_number HAVING COUNT(*) > 1
)
```

**Set up**

1. A connection `cc_management_default` of type *CC-Management*: domain, app key, app secret.
2. A connection `warehouse` to the database, of any type with an SQL hook.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param
from airflow.providers.common.sql.operators.sql import SQLColumnCheckOperator

from airflow_provider_cc.retry_policy import CC_RETRY_POLICY
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

with DAG(
    dag_id="cc_agent_history",
    description="Syncs all agents of the directory with their history, and checks the result",
    doc_md=__doc__,
    schedule="45 * * * *",  # apart from the other DAGs that write the same table
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
    sync_agents = CCAgentsToSqlOperator(
        task_id="sync_agents",
        cc_conn_id="{{ params.cc_conn_id }}",
        sql_conn_id="{{ params.warehouse_conn_id }}",
        history_table="cc_agent_history",
        create_views=True,  # for calls and changes, and for `cc_agent_changes` and `cc_agent_findings`
        outlets=[Asset("cc_agent")],
    )
    no_softphone_belongs_to_two_active_agents = SQLColumnCheckOperator(
        task_id="no_softphone_belongs_to_two_active_agents",
        conn_id="{{ params.warehouse_conn_id }}",
        table="cc_agent",
        # Two contact centers may use the same numbers; the tenant of a sync is its connection ID.
        partition_clause="is_active AND tenant = '{{ params.cc_conn_id }}'",
        column_mapping={"softphone_number": {"unique_check": {"equal_to": 0}}},
        outlets=[Asset("cc_agent_history")],
    )
    sync_agents >> no_softphone_belongs_to_two_active_agents
