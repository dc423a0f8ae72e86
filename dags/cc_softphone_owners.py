"""
### Who owns which softphone number

Starts when a sync has updated the asset `cc_agent`, and keeps a separate table, `cc_softphone_owner`: each
softphone number in use, with the account and the agent ID it belongs to now. Applications that look up
numbers frequently can then read a small table that contains each number of a contact center once. A number
that two active agents share is left out.

The asset's event contains the counts of the sync. If no agent was added, changed, deactivated or reactivated,
the second task is skipped. If you trigger the DAG manually, it always writes.

**Set up**

1. One of the DAGs that fill `cc_agent`.
2. A connection `warehouse` to the same database.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

with DAG(
    dag_id="cc_softphone_owners",
    description="Keeps a table of softphone numbers and their owners, updated when agents have changed",
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

    @task.short_circuit
    def an_agent_has_changed(
        triggering_asset_events: Any = None,
        triggering_dataset_events: Any = None,  # the name in Airflow 2
    ) -> bool:
        of_each_asset = triggering_asset_events or triggering_dataset_events or {}
        syncs = [event.extra for events in of_each_asset.values() for event in events]
        print("Syncs since the last run:", syncs)
        names = ("added", "changed", "deactivated", "reactivated")
        return not syncs or any(counts[name] for counts in syncs for name in names)

    keep_owners = SQLExecuteQueryOperator(
        task_id="keep_owners",
        conn_id="{{ params.warehouse_conn_id }}",
        sql=[
            """
            CREATE TABLE IF NOT EXISTS cc_softphone_owner (
                tenant VARCHAR(250), softphone_number VARCHAR(64), account VARCHAR(100), agent_id INTEGER
            )
            """,
            "DELETE FROM cc_softphone_owner",
            """
            INSERT INTO cc_softphone_owner
            SELECT tenant, softphone_number, MIN(account), MIN(agent_id) FROM cc_agent
            WHERE is_active AND softphone_number IS NOT NULL
            GROUP BY tenant, softphone_number HAVING COUNT(*) = 1
            """,
        ],
        outlets=[Asset("cc_softphone_owner")],
    )
    an_agent_has_changed() >> keep_owners
