"""CC-Gateway: configuration, and the sign-in of an agent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from airflow_provider_cc.api import gateway as api
from airflow_provider_cc.api.gateway import PhoneToken
from airflow_provider_cc.api.protocol import Call, Session
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import mask_secret
from airflow_provider_cc.hooks.agent import SIGN_OUT_WITHIN, AgentSession
from airflow_provider_cc.hooks.base import CCHook


class CCGatewayHook(CCHook):
    """Calls CC-Gateway: the configuration with an administrator's Guid, other interfaces with an agent's.

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

    def __init__(self, cc_conn_id: str | None = None) -> None:
        super().__init__(cc_conn_id)
        #: Agent sessions that have begun and not ended.
        self.agent_sessions: set[AgentSession] = set()

    @property
    def guid(self) -> str | None:
        """The current config Guid, if any."""
        active = self.sessions.current
        return active.session.token if active is not None else None

    @without_locals
    def login(self) -> None:
        """Sign in to configuration now.

        Manual: CC-Gateway, "C5 Intelligent Auxiliary Interface Authentication" (config/login).

        :raises CCAuthError: the credential is rejected
        """
        self.sessions.sign_in()

    @without_locals
    def call(self, method: str, path: str, *, json: Any = None) -> Any:
        """Call any configuration interface, signed with the config Guid.

        :param method: HTTP method
        :param path: below ``/agentgateway/resource/``, e.g. ``config/vdn/agents``
        :param json: the body, if it has one
        :return: the whole reply of a successful call, without the values of secret fields
        """
        return self.send(api.any_gateway_call(method, path, json))

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
        info = self._exchange(call, api.headers(self._header_text("guid", guid)), (guid,))
        mask_secret(info.phone_token.reveal())
        return info

    @without_locals
    def agent_session(
        self, agent_id: int | str, password: str, phone_number: str, *, force: bool = False
    ) -> AgentSession:
        """Return a context manager that keeps an agent signed in (busy), and always signs the agent out.

        This can end or block the agent's own session.

        Manual: CC-Gateway, onlineagent, forcelogin, agentevent and logout.

        :param agent_id: agent ID, 101 to 999999; a string of digits is accepted
        :param password: the agent's password; may be empty
        :param phone_number: softphone number to sign in with
        :param force: sign out anyone who is signed in as this agent; done once, at the start
        :raises ValueError: an argument that the manual does not allow
        :raises CCAuthError: the password is rejected
        :raises CCBusinessError: the agent is already signed in, or the phone number is not accepted
        """
        mask_secret(password)
        return AgentSession(self, api.agent_number(agent_id), password, phone_number, force)

    def sign_out_agents(self) -> None:
        """Sign out all agents of this hook within 3 seconds, even while a request is in flight.

        For ``on_kill``: Airflow sends SIGKILL a few seconds after SIGTERM.
        """
        threads = [threading.Thread(target=agent.end_at_once) for agent in self.agent_sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SIGN_OUT_WITHIN)

    def _sign_in_call(self) -> Call[Session]:
        return api.config_login(self.settings.login, self.settings.password)

    def _headers(self, session: Session | None) -> Mapping[str, str]:
        return api.headers(session.token if session else None)
