"""One agent: the ``cc_agent`` connection, and a session on CC-Gateway."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.api import gateway as api
from airflow_provider_cc.api.gateway import PhoneToken
from airflow_provider_cc.api.protocol import Call, Session, understand
from airflow_provider_cc.api.secret import Unpicklable, without_locals
from airflow_provider_cc.compat import BaseHook, mask_secret
from airflow_provider_cc.exceptions import CCAuthError, CCConfigError, CCError, CCSessionRefused
from airflow_provider_cc.get_provider_info import CCForm
from airflow_provider_cc.hooks.lockout import Credential
from airflow_provider_cc.hooks.transport import BlockingClient

if TYPE_CHECKING:
    from airflow_provider_cc.hooks.gateway import CCGatewayHook

log = logging.getLogger(__name__)

#: Seconds between two event polls; an agent who does not poll for two minutes is signed out.
POLL_EVERY = 30.0
#: Maximum number of seconds for signing out when a task is killed.
SIGN_OUT_WITHIN = 2.5


@dataclass(frozen=True)
class AgentCredentials(Unpicklable):
    """The fields of a ``cc_agent`` connection.

    :param login: sign-in account or agent ID
    :param password: its password; may be empty
    :param phone_number: softphone number to sign in with; may be empty
    """

    login: str
    password: str = field(repr=False)
    phone_number: str


class CCAgentHook(CCForm, BaseHook):
    """Reads a ``cc_agent`` connection for the other hooks.

    :param cc_conn_id: connection ID
    """

    conn_name_attr = "cc_conn_id"
    conn_type = "cc_agent"
    default_conn_name = "cc_agent_default"
    hook_name = "CC agent"

    def __init__(self, cc_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.cc_conn_id = cc_conn_id

    @property
    def credentials(self) -> AgentCredentials:
        """The connection, read from Airflow.

        :raises CCConfigError: login is empty
        """
        return self.require()

    def require(self, *names: str) -> AgentCredentials:
        """Return the connection's fields after checking that some of them are not empty.

        :param names: "password" or "phone_number"
        :raises CCConfigError: login or one of these is empty
        """
        connection = self.get_connection(self.cc_conn_id)
        phone_number = str(connection.extra_dejson.get("phone_number") or "").strip()
        credentials = AgentCredentials(
            (connection.login or "").strip(), connection.password or "", phone_number
        )
        mask_secret(credentials.password)
        missing = [name for name in ("login", *names) if not getattr(credentials, name)]
        if missing:
            raise CCConfigError(f"connection {self.cc_conn_id!r} (cc_agent): needs {', '.join(missing)}")
        return credentials

    def test_connection(self) -> tuple[bool, str]:
        """Check that the connection is complete, without a sign-in, which could end the agent's session."""
        try:
            credentials = self.credentials
        except CCConfigError as error:
            return False, str(error)
        except Exception as error:
            return False, f"Connection {self.cc_conn_id!r} cannot be read: {type(error).__name__}"
        missing = [name for name in ("password", "phone_number") if not getattr(credentials, name)]
        note = f" Some calls also need {' and '.join(missing)}." if missing else ""
        return True, f"Complete. Not signed in, because that could end the agent's own session.{note}"


class AgentSession:
    """A signed-in agent, inside the block of ``CCGatewayHook.agent_session``; see there for parameters."""

    def __init__(
        self, hook: CCGatewayHook, agent_id: int, password: str, phone_number: str, force: bool
    ) -> None:
        self.agent_id = agent_id
        #: The agent's current Guid; empty if the agent is not signed in.
        self.guid = ""
        self._hook = hook
        self._sign_in_call = api.agent_sign_in(agent_id, password, phone_number)
        self._first_sign_in_call = api.agent_sign_in(agent_id, password, phone_number, force)
        self._credential = Credential("agent", str(agent_id), (password, phone_number))
        self._worked = False
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._poller = threading.Thread(
            target=self._poll_until_ended, name=f"cc-agent-{agent_id}", daemon=True
        )

    def __enter__(self) -> AgentSession:
        self._hook.agent_sessions.add(self)
        try:
            self._sign_in(self._first_sign_in_call)
            self.poll()  # returns the Guid that AUTHMODE 2 requires in later calls
            self._poller.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._poller.is_alive():
            self._poller.join()
        with self._lock:
            self._sign_out(lambda guid: self._exchange(api.agent_sign_out(self.agent_id), guid))
        self._hook.agent_sessions.discard(self)

    @without_locals
    def query_login_info(self) -> PhoneToken:
        """Return the softphone that the agent signed in with.

        Manual: CC-Gateway, "Obtaining Token Information" (logininfo).

        :raises CCError: the agent was signed out by someone else, or any other failure
        """
        with self._lock:
            info: PhoneToken = self._call(api.query_login_info(self.agent_id))
        mask_secret(info.phone_token.reveal())
        return info

    @without_locals
    def poll(self) -> None:
        """Poll events once, and use the new Guid."""
        with self._lock:
            guid = self._call(api.agent_events(self.agent_id))
            if guid is not None and self.guid:
                mask_secret(guid)
                self.guid = guid

    def end_at_once(self) -> None:
        """Sign out now, even while another thread waits for a reply; a failure is logged."""
        self._ended.set()
        self._sign_out(self._sign_out_at_once)

    def _sign_out_at_once(self, guid: str) -> None:
        # With a separate client: the hook's client may be waiting for a reply.
        client = BlockingClient(replace(self._hook.settings, timeout=SIGN_OUT_WITHIN / 2))
        client.session.cookies.update(self._hook.client.session.cookies)
        call = api.agent_sign_out(self.agent_id)
        with client.session:
            understand(call, client.send(call.request.signed(api.headers(guid))), (guid,))

    def _sign_out(self, send: Callable[[str], None]) -> None:
        """Sign out; a failure is logged, not raised, so that it does not hide an earlier failure."""
        guid, self.guid = self.guid, ""
        if not guid:
            return
        try:
            send(guid)
        except CCError as error:
            text = "Agent %d could not be signed out (%s). The gateway does so 2 minutes after the last poll."
            log.warning(text, self.agent_id, error)
        else:
            log.info("Agent %d is signed out.", self.agent_id)

    def _exchange(self, call: Call[Any], guid: str) -> Any:
        return self._hook._exchange(call, api.headers(guid), (guid,) if guid else ())

    @without_locals
    def _sign_in(self, call: Call[Session]) -> None:
        with self._lock:
            with self._hook.lockout.guard(self._credential):
                session = self._exchange(call, "")
            mask_secret(session.token)
            self.guid, self._worked = session.token, False
        log.info("Agent %d is signed in.", self.agent_id)
        if self._ended.is_set():  # killed in the meantime
            self.end_at_once()
            raise CCError(f"agent {self.agent_id}: the task is being stopped")

    def _call(self, call: Call[Any]) -> Any:
        try:
            result = self._exchange(call, self.guid)
        except CCSessionRefused:
            if not self._worked or self._ended.is_set():
                raise
            log.info("Agent %d is no longer signed in; signing in again.", self.agent_id)
            # Never forced: if someone else has signed in as this agent, this fails.
            self._sign_in(self._sign_in_call)
            if call.endpoint is not api.EVENTS:
                self.poll()  # as after the first sign-in: later calls may require the Guid of a poll
            result = self._exchange(call, self.guid)
        self._worked = True
        return result

    def _poll_until_ended(self) -> None:
        while not self._ended.wait(POLL_EVERY):
            try:
                self.poll()
            except CCAuthError as error:
                log.warning("Agent %d is signed out: %s", self.agent_id, error)
                return
            except CCError as error:
                text = "Agent %d: the event poll failed; the next one is in %g s: %s"
                log.warning(text, self.agent_id, POLL_EVERY, error)
