"""
### Does the sign-in to CC-iSales still work?

Signs in once an hour, so that you notice a changed password or a blocked sign-in before the jobs that depend
on it fail. If the connection shares its session, those jobs can use the session.

**Set up**

1. A connection `cc_isales_default` of type *CC-iSales*: domain, user, password.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_cc.operators.isales import CCISalesLoginOperator
from airflow_provider_cc.retry_policy import CC_RETRY_POLICY

with DAG(
    dag_id="cc_isales_session",
    description="Checks that the sign-in to CC-iSales works",
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
        "cc_conn_id": Param("cc_isales_default", type="string", description="CC-iSales"),
    },
    tags=["cc", "example"],
):
    CCISalesLoginOperator(
        task_id="sign_in",
        cc_conn_id="{{ params.cc_conn_id }}",
        outlets=[Asset("cc_isales_session")],
    )
