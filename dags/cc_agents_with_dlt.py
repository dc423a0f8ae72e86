"""
### All agents of the directory, with dlt into any of its destinations

Reads the agent directory of CC-Management every hour and loads it with [dlt](https://dlthub.com) into the
table `cc_agent` of a warehouse that the sync does not support: BigQuery, Databricks, ClickHouse, Redshift,
SQL Server, Parquet files in a bucket, or any other destination of dlt. Each run replaces the table.

The directory is read completely before dlt gets the first agent. If entries are missing, or anything else
fails before then, nothing is loaded. dlt gets only the agents and the destination's credentials: it sends no
telemetry and reads no Airflow Variables.

**Set up**

1. `pip install 'airflow-provider-cc[dlt]'`, and what the destination needs: `pip install 'dlt[bigquery]'`.
2. A connection `cc_management_default` of type *CC-Management*: domain, app key, app secret.
3. A connection `dlt_destination` of type *Generic*. Password: dlt's `credentials` for the destination, as
   JSON or a connection string. Extra: other arguments of the destination, `{"bucket_url": "s3://…"}`.
4. The params: `destination` is dlt's name for it, `dataset` the schema or folder of the tables. With
   `file_format` set to `parquet`, many destinations load faster and dlt needs less memory.

dlt's working files, which contain the agents while they are loaded, are in a temporary folder that is deleted
after the run. If `DLT_DATA_DIR` is set in the worker's environment, the folder is created there.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, BaseHook, Param, mask_secret, task

from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.retry_policy import CC_RETRY_POLICY

# Specified because dlt would leave out a column that is null in every row.
COLUMNS: dict[str, Any] = {
    "account": {"data_type": "text", "nullable": False},
    "agent_id": {"data_type": "bigint"},
    "agent_type": {"data_type": "bigint"},
    "softphone_number": {"data_type": "text"},
}


def destination_arguments(conn_id: str) -> dict[str, Any]:
    """Return the destination's settings from a connection; every password in it is masked in the log."""
    connection = BaseHook.get_connection(conn_id)
    arguments = dict(connection.extra_dejson)
    if secret := connection.password:
        is_json = secret.lstrip().startswith("{")
        arguments["credentials"] = credentials = json.loads(secret) if is_json else secret
        within = credentials if is_json else urlsplit(secret).password or ""
        mask_secret([secret, within, within if is_json else unquote(within)])
    return arguments


with DAG(
    dag_id="cc_agents_with_dlt",
    description="Loads all agents of the directory with dlt into any of its destinations",
    doc_md=__doc__,
    schedule="@hourly",
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
        "dlt_conn_id": Param("dlt_destination", type="string", description="Where dlt loads the agents"),
        "destination": Param("duckdb", type="string", description="dlt's name for the destination"),
        "dataset": Param("cc", type="string", description="Schema or folder for the tables"),
        "file_format": Param(
            None, type=["null", "string"], description="Format of dlt's files, parquet for example"
        ),
    },
    tags=["cc", "example"],
):

    @task(outlets=[Asset("cc_agent_dlt")])
    @without_locals  # of dlt and of drivers, which some log handlers print with an error, passwords included
    def load_agents(params: dict[str, Any]) -> int:
        agents = [
            {name: getattr(agent, name) for name in COLUMNS}
            for agent in CCManagementHook(params["cc_conn_id"]).query_agents()
        ]
        # dlt reads these when it is first imported.
        os.environ |= {"PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false", "RUNTIME__DLTHUB_TELEMETRY": "false"}
        import dlt
        from dlt.pipeline import trace

        trace.TRACKING_MODULES = []  # telemetry that is off still writes to the home directory
        destination = getattr(dlt.destinations, params["destination"])
        with TemporaryDirectory(dir=os.environ.get("DLT_DATA_DIR")) as folder:
            pipeline = dlt.pipeline(
                "cc_agents",
                destination=destination(**destination_arguments(params["dlt_conn_id"])),
                dataset_name=params["dataset"],
                pipelines_dir=folder,
            )
            pipeline.run(
                agents,
                table_name="cc_agent",
                write_disposition="replace",
                columns=COLUMNS,
                primary_key="account",
                loader_file_format=params["file_format"],
            )
        return len(agents)

    load_agents()
