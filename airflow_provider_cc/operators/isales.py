"""Operators for CC-iSales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import BaseOperator
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.operators.sessions import session_row

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context


class CCISalesLoginOperator(BaseOperator):
    """Signs in to CC-iSales: checks the credential and creates a shared session.

    Manual: CC-iSales, "Authentication Interface" (auth/login).

    Returns a dict with ``conn_id``, ``signed_in_at``, ``expires_at`` and ``shared``, without a token.

    :param cc_conn_id: connection of type ``cc_isales`` (templated)
    """

    template_fields: Sequence[str] = ("cc_conn_id",)

    def __init__(self, *, cc_conn_id: str = CCISalesHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cc_conn_id = cc_conn_id

    @cached_property
    def hook(self) -> CCISalesHook:
        """The hook."""
        return CCISalesHook(self.cc_conn_id)

    @without_locals
    def execute(self, context: Context) -> dict[str, Any]:
        """Sign in.

        :raises CCAuthError: the credential is rejected
        """
        return session_row(self.hook)
