"""Call each of the five interfaces once, against a simulated contact center, and show what comes back."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from rich.console import Console

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import CHECKOUT


def main() -> None:
    """Show them."""
    os.environ["AIRFLOW_HOME"] = str(CHECKOUT / ".cache" / "interfaces")
    with Simulator(Settings(agents=3, seed=7, tls=True)) as center:
        os.environ |= center.environment()
        console = Console(highlight=False)
        console.print(f"Against a contact center at {center.url}, over TLS:")
        for interface, call, ask in _calls(center):
            console.print(f"[bold]{interface}[/] by {call}")
            console.print(f"  {ask()}", markup=False, soft_wrap=True)


def _calls(center: Simulator) -> list[tuple[str, str, Callable[[], Any]]]:
    # Imported here: Airflow reads its home when it is imported.
    from airflow_provider_cc.hooks.agent import CCAgentHook
    from airflow_provider_cc.hooks.gateway import CCGatewayHook
    from airflow_provider_cc.hooks.isales import CCISalesHook
    from airflow_provider_cc.hooks.management import CCManagementHook

    logging.disable(logging.CRITICAL)
    management, gateway, isales = CCManagementHook(), CCGatewayHook(), CCISalesHook()
    account = next(center.accounts())
    agent = CCAgentHook().credentials

    def login_info() -> Any:
        with gateway.agent_session(agent.login, agent.password, agent.phone_number) as session:
            return session.query_login_info()

    def signed_in(login: Callable[[], None], call: Callable[[], Any]) -> str:
        login()
        return f"signed in; a call then answers: {call()['result']}"

    return [
        (
            "queryAgentLoginParams",
            "CCManagementHook.query_agent_login_params",
            lambda: management.query_agent_login_params(account, center.agent(account).password),
        ),
        (
            "queryAgentInfoByAccount",
            "CCManagementHook.query_agent_info",
            lambda: management.query_agent_info(account),
        ),
        (
            "config/login",
            "CCGatewayHook.login",
            lambda: signed_in(gateway.login, lambda: gateway.call("GET", "config/vdn/agents")),
        ),
        ("logininfo", "CCGatewayHook.agent_session", login_info),
        (
            "auth/login",
            "CCISalesHook.login",
            lambda: signed_in(isales.login, lambda: isales.call("business/tasks")),
        ),
    ]


if __name__ == "__main__":
    main()
