"""Import every module, use each kind of thing once, and print the deprecations that this brings about.

A program of its own: what is imported warns only the first time. The example DAGs are given as the argument.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import runpy
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DEPRECATED = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def main() -> None:
    """Print a line for each warning that is about this package or the example DAGs."""
    os.environ["SQLALCHEMY_WARN_20"] = "1"  # 1.4 says only then what 2.0 will not have
    dags = Path(sys.argv[1])
    caught: list[warnings.WarningMessage] = []
    # Not catch_warnings(): Airflow puts a function of its own in the place where that listens.
    warnings._showwarnmsg = caught.append  # type: ignore[attr-defined]
    warnings.simplefilter("always")
    import_everything()
    for file in sorted(dags.glob("*.py")):
        runpy.run_path(str(file))
    use_everything()
    ours = (str(dags), os.sep + "airflow_provider_cc" + os.sep)
    for warning in caught:
        if issubclass(warning.category, DEPRECATED) and any(part in warning.filename for part in ours):
            print(f"{warning.filename}:{warning.lineno}: {warning.category.__name__}: {warning.message}")
    print("used everything")


def import_everything() -> None:
    """Import all modules of the package but those that run something."""
    import airflow_provider_cc
    from airflow_provider_cc.compat import UI_HAS_PAGES

    # The fixtures need pytest, Snowflake's tables its SQLAlchemy dialect, the page an API server with pages.
    left_out = ("__main__", "simulator.fixtures", "snowflake_tables")
    left_out += () if UI_HAS_PAGES else ("ui.app", "ui.runs")
    for module in pkgutil.walk_packages(airflow_provider_cc.__path__, "airflow_provider_cc."):
        if not module.name.endswith(left_out):
            importlib.import_module(module.name)


def use_everything() -> None:
    """Run each hook, operator, sensor, trigger and the sync once, against a contact center over TLS."""
    from airflow_provider_cc.simulator import Settings, Simulator

    with tempfile.TemporaryDirectory() as folder, Simulator(Settings(agents=5, seed=7)) as center:
        agent = center.agent(next(iter(center.accounts())))
        connections = {
            "cc_agent_default": {
                "conn_type": "cc_agent",
                "login": str(agent.agent_id),
                "password": agent.agent_password,
                "extra": {"phone_number": agent.softphone_number},
            },
            "account": {"conn_type": "cc_agent", "login": agent.account, "password": agent.password},
            "warehouse": {"conn_type": "sqlite", "host": f"{folder}/warehouse.sqlite"},
        }
        os.environ |= center.environment()
        os.environ |= {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()
        }
        use_hooks()
        use_operators(agent)
        use_sensors(agent)


def use_hooks() -> None:
    """Call what no operator calls."""
    from airflow_provider_cc.hooks.gateway import CCGatewayHook
    from airflow_provider_cc.hooks.isales import CCISalesHook
    from airflow_provider_cc.hooks.management import CCManagementHook

    for hook in (CCManagementHook, CCGatewayHook, CCISalesHook):
        if find_spec("flask_appbuilder"):  # Airflow before 3.2 makes its forms of it
            hook.get_connection_form_widgets()
        hook.get_ui_field_behaviour()
        passed, told = hook().test_connection()
        assert passed, told
    assert len(list(CCManagementHook().query_agents())) == 5
    isales = CCISalesHook()
    isales.login()
    isales.refresh()


def use_operators(agent: Any) -> None:
    """Run each operator and the sync, which asks over both clients."""
    from airflow_provider_cc.operators.gateway import CCConfigLoginOperator, CCQueryLoginInfoOperator
    from airflow_provider_cc.operators.isales import CCISalesLoginOperator
    from airflow_provider_cc.operators.management import (
        CCQueryAgentInfoOperator,
        CCQueryAgentLoginParamsOperator,
    )
    from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

    sync = {"sql_conn_id": "warehouse", "history_table": "cc_agent_history"}
    for operator in (
        CCQueryAgentInfoOperator(task_id="info", account_codes=[agent.account]),
        CCQueryAgentLoginParamsOperator(task_id="login_params", account_conn_ids=["account"]),
        CCQueryLoginInfoOperator(task_id="login_info", agent_conn_id="cc_agent_default"),
        CCConfigLoginOperator(task_id="config_login"),
        CCISalesLoginOperator(task_id="isales_login"),
        CCAgentsToSqlOperator(task_id="directory", **sync),
        CCAgentsToSqlOperator(task_id="accounts", accounts=[agent.account], **sync),
    ):
        task = SimpleNamespace(run_id="run", map_index=-1, try_number=1, max_tries=0)
        assert operator.execute({"ti": task})


def use_sensors(agent: Any) -> None:
    """Look once in the task, and once in the triggerer."""
    from airflow_provider_cc.sensors.management import CCAgentSensor
    from airflow_provider_cc.triggers.management import CCAgentTrigger

    sensor = CCAgentSensor(task_id="wait", account_code=agent.account)
    assert sensor.poke({}).xcom_value

    async def first_event() -> Any:
        trigger = CCAgentTrigger(
            account_code=agent.account,
            agent_status=None,
            cc_conn_id="cc_management_default",
            poke_interval=1,
            max_unanswered=1,
            ends_at=datetime.now(UTC),
        )
        async for event in trigger.run():
            return event

    assert asyncio.run(first_event()).payload["agent"]


if __name__ == "__main__":
    main()
