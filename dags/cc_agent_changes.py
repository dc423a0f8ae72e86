"""
### What changed: each change once

Starts when a sync has updated the asset `cc_agent`, and copies new rows of the view `cc_agent_change` into a
separate table, `cc_agent_change_log`: one row for each column of an agent that changed, with the old and the
new value. Replace this with your own processing, for example updates of a CRM.

The run is the cursor. All changes of a run appear at once and have its `run_key`, and the log gets all of
them or none. So no change is lost or seen twice, even if syncs overlap, a run was resumed hours later, or
this DAG was off for a while. `changed_at` would not work as a cursor: it is the time when the answer was
read, and a run that took two hours writes timestamps up to two hours in the past.

**Set up**

1. The DAG `cc_agent_history`, which keeps the history and creates the view.
2. A connection `warehouse` to the same database.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

with DAG(
    dag_id="cc_agent_changes",
    description="Processes each change of an agent once, after every sync",
    doc_md=__doc__,
    schedule=[Asset("cc_agent")],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
    },
    params={
        "warehouse_conn_id": Param("warehouse", type="string", description="The database"),
    },
    tags=["cc", "example"],
):
    SQLExecuteQueryOperator(
        task_id="take_new_changes",
        conn_id="{{ params.warehouse_conn_id }}",
        sql=[
            """
            CREATE TABLE IF NOT EXISTS cc_agent_change_log AS
            SELECT * FROM cc_agent_change WHERE 1 = 0
            """,
            """
            INSERT INTO cc_agent_change_log
            SELECT * FROM cc_agent_change
            WHERE run_key IS NOT NULL AND run_key NOT IN (SELECT run_key FROM cc_agent_change_log)
            """,
        ],
        outlets=[Asset("cc_agent_change_log")],
    )
