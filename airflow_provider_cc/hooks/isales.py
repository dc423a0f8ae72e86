"""CC-iSales: the pair of tokens, and any interface signed with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cc.api import isales as api
from airflow_provider_cc.api.protocol import Call, Session
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.hooks.base import CCHook

#: Valid values of the extras token_header and token_kind; the first is the default.
HEADERS = ("Authentication", "Authorization")
KINDS = ("token", "refreshToken")


class CCISalesHook(CCHook):
    """Calls CC-iSales, signed with a token that is refreshed when needed.

    :param cc_conn_id: connection of type ``cc_isales``
    """

    conn_type = "cc_isales"
    default_conn_name = "cc_isales_default"
    hook_name = "CC-iSales"
    credentials = {"login": "user", "password": "password"}  # noqa: RUF012 - typed in the base class
    extras = ("token_header", "token_kind")

    @without_locals
    def login(self) -> None:
        """Sign in now.

        Manual: CC-iSales, "Authentication Interface" (auth/login).

        :raises CCAuthError: the credential is rejected
        """
        self.sessions.sign_in()

    @without_locals
    def refresh(self) -> None:
        """Get a new pair of tokens now; signs in if there is no valid refreshToken.

        Manual: CC-iSales, auth/refresh.

        :raises CCAuthError: the credential is rejected
        """
        self.sessions.refresh()

    @without_locals
    def call(self, path: str, *, json: Any = None, method: str = "POST") -> Any:
        """Call any interface.

        :param path: below ``/rest/isales/v1/openapi/obs/``, e.g. ``business/tasks``
        :param json: the body
        :param method: HTTP method
        :return: the whole reply of a successful call, without the values of secret fields
        """
        return self.send(api.any_isales_call(method, path, json))

    def _sign_in_call(self) -> Call[Session]:
        return api.login(self.settings.login, self.settings.password)

    def refresh_session(self, refresh_token: str) -> Session:
        """Refresh a session; :attr:`sessions` calls it when one is about to end."""
        return self._begin_session(api.refresh(refresh_token), "Refreshed the session of %s (connection %s).")

    def _headers(self, session: Session | None) -> Mapping[str, str]:
        name = self._choice("token_header", HEADERS)
        kind = self._choice("token_kind", KINDS)
        if session is None:
            return api.headers()
        return api.headers(session.refresh_token if kind == "refreshToken" else session.token, name)

    def _choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = str(self.settings.extra.get(name) or allowed[0])
        if value not in allowed:
            where = f"connection {self.cc_conn_id!r}"
            raise CCConfigError(f"{where}: extra {name} must be {' or '.join(allowed)}")
        return value
