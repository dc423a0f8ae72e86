"""Operators for CC-Management."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import BaseOperator
from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.operators.rows import as_list, query_each

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context, XComArg


class CCQueryAgentInfoOperator(BaseOperator):
    """Queries agent ID, type and status by sign-in account.

    Manual: CC-Management, "Querying Agent Information by Sign-in Account" (queryAgentInfoByAccount).

    Returns a list of dicts with ``account``, ``agent_id``, ``agent_type`` and ``agent_status``.

    :param account_codes: one account code or a list of them, at most 64 characters each (templated)
    :param cc_conn_id: connection of type ``cc_management`` (templated)
    :param auth_conn_id: a ``cc_agent`` connection whose login and password authenticate the query instead of
        the app key, as in the manual's user-name scenario (templated)
    :param on_error: ``"raise"`` fails the task at the first account that cannot be read; ``"collect"``
        returns a row of ``account``, ``endpoint``, ``code`` and ``message`` for it
    """

    template_fields: Sequence[str] = ("account_codes", "cc_conn_id", "auth_conn_id")

    def __init__(
        self,
        *,
        account_codes: str | list[str] | XComArg,
        cc_conn_id: str = CCManagementHook.default_conn_name,
        auth_conn_id: str | None = None,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.account_codes = account_codes
        self.cc_conn_id = cc_conn_id
        self.auth_conn_id = auth_conn_id
        self.on_error = on_error

    @cached_property
    def hook(self) -> CCManagementHook:
        """The hook, with one session for the whole list."""
        return CCManagementHook(self.cc_conn_id)

    @without_locals
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Query every account.

        :raises ValueError: the manual does not allow an argument; raised before the first request
        :raises CCError: as in ``CCManagementHook.query_agent_info``
        """
        accounts = as_list("account_codes", self.account_codes)
        for account in accounts:
            api.query_agent_info(account)
        query = self.hook.query_agent_info
        if self.auth_conn_id is not None:
            user = CCAgentHook(self.auth_conn_id).require("password")
            query = partial(query, username=user.login, password=user.password)
        calls = [(account, partial(query, account)) for account in accounts]
        return query_each(calls, self.on_error, shared_password=self.auth_conn_id is not None)


class CCQueryAgentLoginParamsOperator(BaseOperator):
    """Queries softphone number and SIP servers with an account's own password.

    Manual: CC-Management, "Querying the Account Sign-in Result" (queryAgentLoginParams).

    Returns a list of dicts with ``account``, ``agent_id``, ``softphone_number`` and ``sip_servers``, one for
    each connection. The passwords in the reply are never read.

    :param account_conn_ids: one ``cc_agent`` connection ID or a list of them, each with an account and its
        password (templated)
    :param cc_conn_id: connection of type ``cc_management`` (templated)
    :param on_error: as in :class:`CCQueryAgentInfoOperator`
    """

    template_fields: Sequence[str] = ("account_conn_ids", "cc_conn_id")

    def __init__(
        self,
        *,
        account_conn_ids: str | list[str] | XComArg,
        cc_conn_id: str = CCManagementHook.default_conn_name,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.account_conn_ids = account_conn_ids
        self.cc_conn_id = cc_conn_id
        self.on_error = on_error

    @cached_property
    def hook(self) -> CCManagementHook:
        """The hook, with one session for the whole list."""
        return CCManagementHook(self.cc_conn_id)

    @without_locals
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Query every account.

        :raises ValueError: the manual does not allow an argument; raised before the first request
        :raises CCError: as in ``CCManagementHook.query_agent_login_params``
        """
        conn_ids = as_list("account_conn_ids", self.account_conn_ids)
        agents = [CCAgentHook(conn_id).require("password") for conn_id in conn_ids]
        for agent in agents:
            api.query_agent_login_params(agent.login, agent.password)
        calls = [
            (agent.login, partial(self.hook.query_agent_login_params, agent.login, agent.password))
            for agent in agents
        ]
        return query_each(calls, self.on_error)
