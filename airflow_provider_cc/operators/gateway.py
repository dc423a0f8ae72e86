"""Operators for CC-Gateway."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import BaseOperator
from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.operators.sessions import session_row

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context


class CCConfigLoginOperator(BaseOperator):
    """Signs in to the configuration interface: checks the credential and creates a shared session.

    Manual: CC-Gateway, "C5 Intelligent Auxiliary Interface Authentication" (config/login).

    Returns a dict with ``conn_id``, ``signed_in_at``, ``expires_at`` and ``shared``, without the Guid.

    :param cc_conn_id: connection of type ``cc_gateway`` (templated)
    """

    template_fields: Sequence[str] = ("cc_conn_id",)

    def __init__(self, *, cc_conn_id: str = CCGatewayHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cc_conn_id = cc_conn_id

    @cached_property
    def hook(self) -> CCGatewayHook:
        """The hook."""
        return CCGatewayHook(self.cc_conn_id)

    @without_locals
    def execute(self, context: Context) -> dict[str, Any]:
        """Sign in.

        :raises CCAuthError: the credential is rejected
        """
        return session_row(self.hook)


class CCQueryLoginInfoOperator(BaseOperator):
    """Checks the softphone number of an agent: signs the agent in, queries it, and signs the agent out.

    Manual: CC-Gateway, "Obtaining Token Information" (logininfo).

    Signs the agent in (busy), which can end or block the agent's own session: do not use it for agents at
    work. Returns a dict with ``agent_id`` and ``softphone_number``, without the phonetoken.

    :param agent_conn_id: connection of type ``cc_agent`` with an agent ID as login, a password (may be empty)
        and the extra ``phone_number`` (templated)
    :param cc_conn_id: connection of type ``cc_gateway`` (templated)
    :param force: sign out anyone who is signed in as this agent; done once, at the start
    """

    template_fields: Sequence[str] = ("agent_conn_id", "cc_conn_id")

    def __init__(
        self,
        *,
        agent_conn_id: str,
        cc_conn_id: str = CCGatewayHook.default_conn_name,
        force: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.agent_conn_id = agent_conn_id
        self.cc_conn_id = cc_conn_id
        self.force = force

    @cached_property
    def hook(self) -> CCGatewayHook:
        """The hook."""
        return CCGatewayHook(self.cc_conn_id)

    @without_locals
    def execute(self, context: Context) -> dict[str, Any]:
        """Sign in, query, sign out.

        :raises ValueError: the connection's login is not an agent ID from 101 to 999999
        :raises CCConfigError: the connection is incomplete
        :raises CCError: as in ``CCGatewayHook.agent_session``
        """
        agent = CCAgentHook(self.agent_conn_id).require("phone_number")
        with self.hook.agent_session(
            agent.login, agent.password, agent.phone_number, force=self.force
        ) as session:
            info = session.query_login_info()
        return {"agent_id": info.agent_id, "softphone_number": info.softphone_number}

    def on_kill(self) -> None:
        """Sign the agent out: Airflow kills the process seconds later."""
        self.hook.sign_out_agents()
