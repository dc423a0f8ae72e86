"""Everything that the provider can be asked, in one process, by hooks, operators and trigger."""

from __future__ import annotations

import asyncio
import io
import json
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace, TracebackType
from typing import Any

from rich.console import Console
from rich.pretty import pretty_repr
from rich.scope import render_scope
from rich.traceback import Traceback

from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.operators.gateway import CCConfigLoginOperator, CCQueryLoginInfoOperator
from airflow_provider_cc.operators.isales import CCISalesLoginOperator
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator, CCQueryAgentLoginParamsOperator
from airflow_provider_cc.sensors.management import CCAgentSensor
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
from airflow_provider_cc.triggers.management import CCAgentTrigger


def connections(center: Simulator, **extra: Any) -> dict[str, dict[str, Any]]:
    """Give the connections to a contact center, agents' and users' among them, with further extras."""
    found = center.connections()
    for connection in found.values():
        if connection["conn_type"] != "cc_agent":
            connection["extra"] = {**connection["extra"], **extra}
    agents = [center.agent(account) for account in center.accounts()]
    settings = center.settings
    return {
        **found,
        "account": {"conn_type": "cc_agent", "login": agents[0].account, "password": agents[0].password},
        "user": {"conn_type": "cc_agent", "login": settings.user_name, "password": settings.user_password},
        "vdn": {
            **found["cc_gateway_default"],
            "login": str(settings.vdn_account),
            "password": settings.vdn_password,
        },
        "passwords": {
            "conn_type": "generic",
            "password": json.dumps({agent.account: agent.password for agent in agents}, ensure_ascii=False),
        },
    }


def questions(center: Simulator) -> Iterator[tuple[str, Any, Callable[[Any], Any]]]:
    """Give a name, what is asked, and how, for everything that there is to ask."""
    agent = center.agent(next(iter(center.accounts())))
    accounts = [*center.accounts(), "nobody"]
    settings = center.settings
    management, gateway, isales = CCManagementHook, CCGatewayHook, CCISalesHook

    def seat(hook: Any) -> Any:
        with hook.agent_session(agent.agent_id, agent.agent_password, agent.softphone_number) as session:
            return [session.query_login_info(), session.poll()]

    def failing_body(hook: Any) -> Any:
        with hook.agent_session(agent.agent_id, agent.agent_password, agent.softphone_number) as session:
            session.query_login_info()
            raise ValueError("of the caller's own")

    def run(operator: Any) -> Any:
        return operator.execute({"ti": SimpleNamespace(run_id="run", map_index=-1)})

    async def first_event(trigger: Any) -> Any:
        async for event in trigger.run():
            return event.payload

    yield "info", management(), lambda hook: hook.query_agent_info(agent.account)
    yield "nobody", management(), lambda hook: hook.query_agent_info("nobody")
    yield (
        "user",
        management(),
        lambda hook: hook.query_agent_info(
            agent.account, username=settings.user_name, password=settings.user_password
        ),
    )
    yield "params", management(), lambda hook: hook.query_agent_login_params(agent.account, agent.password)
    yield "directory", management(), lambda hook: list(hook.query_agents())
    yield "call", management(), lambda hook: hook.call("/apiaccess/none", json={"password": agent.password})
    yield "test", management(), lambda hook: hook.test_connection()
    yield "config", gateway(), lambda hook: hook.login()
    yield "vdn", gateway("vdn"), lambda hook: hook.login()
    yield "vdn agents", gateway(), lambda hook: hook.call("GET", "config/vdn/agents")["retcode"]
    yield "seat", gateway(), seat
    yield "body", gateway(), failing_body
    yield "guid", gateway(), lambda hook: hook.query_login_info(agent.agent_id, guid=settings.issue("x" * 36))
    yield "isales", isales(), lambda hook: [hook.login(), hook.refresh()]
    yield "tasks", isales(), lambda hook: hook.call("business/tasks")["result"]
    yield "agent", CCAgentHook(), lambda hook: hook.credentials
    yield "info operator", CCQueryAgentInfoOperator(task_id="t", account_codes=accounts), run
    yield (
        "user operator",
        CCQueryAgentInfoOperator(task_id="t", account_codes=accounts, auth_conn_id="user"),
        run,
    )
    yield (
        "params operator",
        CCQueryAgentLoginParamsOperator(task_id="t", account_conn_ids=["account"]),
        run,
    )
    yield "seat operator", CCQueryLoginInfoOperator(task_id="t", agent_conn_id="cc_agent_default"), run
    yield "config operator", CCConfigLoginOperator(task_id="t"), run
    yield "isales operator", CCISalesLoginOperator(task_id="t"), run
    sync = {"task_id": "t", "sql_conn_id": "warehouse"}
    yield "directory sync", CCAgentsToSqlOperator(**sync, history_table="cc_agent_history"), run
    yield "account sync", CCAgentsToSqlOperator(**sync, accounts=accounts), run
    with_passwords = {"softphones": "login_params", "passwords_conn_id": "passwords"}
    yield "password sync", CCAgentsToSqlOperator(**sync, accounts=accounts, **with_passwords), run
    yield (
        "password sync of all",
        CCAgentsToSqlOperator(**{**sync, "sql_conn_id": "no_such"}, **with_passwords),
        run,
    )
    yield "sensor", CCAgentSensor(task_id="t", account_code=agent.account), run
    yield (
        "trigger",
        CCAgentTrigger(
            account_code="nobody",
            agent_status=None,
            cc_conn_id="cc_management_default",
            poke_interval=0.01,
            max_unanswered=0,
            ends_at=datetime.now(UTC),
        ),
        lambda trigger: asyncio.run(first_event(trigger)),
    )


def shown(error: BaseException) -> str:
    """Show an exception as talkatively as any log handler does, local variables included."""
    error = error.with_traceback(_without_callers(error.__traceback__))
    text = io.StringIO()
    console = Console(file=text, width=400)
    found = Traceback.extract(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=None,
        locals_max_string=None,
    )
    # Rich shows the source around, too, whose coloring takes most of a second for each exception.
    for frame in (frame for stack in found.stacks for frame in stack.frames):
        console.print(render_scope(frame.locals or {}))
    plain = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return f"{plain}\n{text.getvalue()}\n{error!r} {error.args} {vars(error)} {pretty_repr(error)}"


def _without_callers(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of the tests, which know the secrets."""
    if trace is None:
        return None
    below = _without_callers(trace.tb_next)
    if "/tests/" in trace.tb_frame.f_code.co_filename:
        return below
    return TracebackType(below, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
