"""A sync that many workers share."""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_cc.transfers.agents_to_sql import cc_agents_sync

with DAG(
    "shared",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
):
    cc_agents_sync(
        "sync",
        shards=int(os.environ["SHARDS"]),
        tenant="shared",
        sql_conn_id="warehouse",
        history_table="cc_agent_history",
        accounts_sql="SELECT account FROM cc_account",
        chunk_size=int(os.environ["CHUNK"]),
        outlets=[Asset("cc_agent")],
    )
