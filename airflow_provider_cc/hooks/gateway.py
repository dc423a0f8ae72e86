"""CC-Gateway: configuration, and the seat of an agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_cc.api import gateway as api
from airflow_provider_cc.api.gateway import PhoneToken
from airflow_provider_cc.api.protocol import Call, Session
from airflow_provider_cc.api.secret import Secret
from airflow_provider_cc.compat import mask_secret
from airflow_provider_cc.hooks import retries
from airflow_provider_cc.hooks.agent_session import AgentSession
from airflow_provider_cc.hooks.base import CCHook
from airflow_provider_cc.hooks.tracebacks import without_locals


class CCGatewayHook(CCHook):
    """Talks to CC-Gateway: to its configuration with an administrator's Guid, for an agent with that agent's.

    :param cc_conn_id: connection of type ``cc_gateway``
    """

    conn_type = "cc_gateway"
    default_conn_name = "cc_gateway_default"
    hook_name = "CC-Gateway"
    default_port = 8043
    credentials = {  # noqa: RUF012 - typed in the base class
        "login": "administrator ID or VDN account",
        "password": "password",
    }

    @property
    def guid(self) -> str | None:
        """The config Guid, if there is one now."""
        grant = self.sessions.fresh
        return grant.session.token if grant is not None else None

    @without_locals
    def login(self) -> None:
        """Sign in to configuration now.

        Manual: CC-Gateway, "C5 Intelligent Auxiliary Interface Authentication" (config/login).

        :raises CCAuthError: refused
        """
        self.sessions.sign_in()

    @without_locals
    def call(self, method: str, path: str, *, json: Any = None) -> Any:
        """Call any configuration interface; the config Guid is looked after.

        :param method: HTTP method
        :param path: below ``/agentgateway/resource/``, e.g. ``config/vdn/agents``
        :param json: the body, if it has one
        :return: the whole reply, after its retcode was found to mean success
        """
        return self.send(api.any_call(method, path, json))

    @without_locals
    def query_login_info(self, agent_id: int, *, guid: str) -> PhoneToken:
        """Return the softphone that a signed-in agent uses.

        Manual: CC-Gateway, "Obtaining Token Information" (logininfo).

        :param agent_id: agent ID, 101 to 999999
        :param guid: that agent's Guid: from the sign-in (AUTHMODE 1) or the latest event poll (AUTHMODE 2)
        :raises ValueError: an agent ID outside that range
        :raises CCAuthError: the Guid is not accepted
        :raises CCError: any other failure
        """
        mask_secret(guid)
        call = api.query_login_info(agent_id)
        info = self._exchange(call, api.headers(self._header_text("guid", guid)), (guid,), retries.policy())
        mask_secret(info.phone_token.reveal())
        return info

    @contextmanager
    def agent_session(
        self, agent_id: int | str, password: str, phone_number: str, *, force: bool = False
    ) -> Iterator[AgentSession]:
        """Sign an agent in, keep the agent signed in, and sign out again whatever happens.

        This takes the agent's seat: calls may be routed to it.

        Manual: CC-Gateway, onlineagent, forcelogin, agentevent and logout.

        :param agent_id: agent ID, 101 to 999999; digits in a text will do
        :param password: the agent's password
        :param phone_number: softphone number to sign in with
        :param force: throw out whoever is signed in
        :raises ValueError: an argument that the manual does not allow
        :raises CCAuthError: refused, or the seat is taken
        """
        mask_secret(password)
        secret = Secret(password)
        del password  # what fails in the body of the `with` passes through here, and its traceback shows us
        number = api.agent_number(agent_id)
        agent = AgentSession(
            exchange=lambda call, guid: self._exchange(call, api.headers(guid), (guid,), retries.policy()),
            sign_in=lambda: self._exchange_sign_in(
                api.agent_sign_in(agent_id, secret.reveal(), phone_number, force)
            ),
            agent_id=number,
            quarantine=self._quarantine("agent", str(number), secret.reveal()),
        )
        agent.sign_in()
        try:
            agent.keep_alive()
            yield agent
        finally:
            agent.sign_out()

    def _sign_in_call(self) -> Call[Session]:
        return api.config_login(self.settings.login, self.settings.password)

    def _headers(self, session: Session | None) -> Mapping[str, str]:
        return api.headers(session.token if session else None)
