"""An agent's seat on CC-Gateway while it is ours: signed in, kept alive, its Guid followed, signed out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from airflow_provider_cc.api import gateway as api
from airflow_provider_cc.api.gateway import PhoneToken
from airflow_provider_cc.api.protocol import Call, Session
from airflow_provider_cc.compat import mask_secret
from airflow_provider_cc.exceptions import CCAuthError, CCError, CCSessionLapsed
from airflow_provider_cc.hooks.quarantine import Quarantine
from airflow_provider_cc.hooks.tracebacks import without_locals

log = logging.getLogger(__name__)

#: Seconds between two event polls; an agent who does not poll for two minutes is signed out.
POLL_EVERY = 30.0


class AgentSession:
    """A signed-in agent; made by ``CCGatewayHook.agent_session``.

    One request at a time: with a rotating Guid (AUTHMODE 2) a call beside a poll would carry the old one.

    :param exchange: makes a call, signed with a Guid
    :param sign_in: signs the agent in
    :param agent_id: agent ID
    :param quarantine: keeps a refused password from being sent again
    """

    def __init__(
        self,
        exchange: Callable[[Call[Any], str], Any],
        sign_in: Callable[[], Session],
        agent_id: int,
        quarantine: Quarantine,
    ) -> None:
        self._exchange = exchange
        self._ask_session = sign_in
        self._quarantine = quarantine
        self.agent_id = agent_id
        self._guid = ""
        self._worked = False
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._poller = threading.Thread(
            target=self._poll_until_ended, name=f"cc-agent-{agent_id}", daemon=True
        )

    @property
    def guid(self) -> str:
        """The agent's Guid of this moment."""
        return self._guid

    @without_locals
    def query_login_info(self) -> PhoneToken:
        """Return the softphone that the agent signed in with.

        Manual: CC-Gateway, "Obtaining Token Information" (logininfo).

        :raises CCAuthError: the agent was signed out and a new sign-in does not help
        :raises CCError: any other failure
        """
        with self._lock:
            info: PhoneToken = self._call(api.query_login_info(self.agent_id))
        mask_secret(info.phone_token.reveal())
        return info

    @without_locals
    def sign_in(self) -> None:
        """Take the seat.

        :raises CCAuthError: refused, or the seat is taken
        """
        with self._lock:
            self._quarantine.check(CCAuthError)
            try:
                self._guid = self._ask_session().token
            except CCAuthError as error:
                if error.code != api.SEAT_TAKEN:
                    self._quarantine.add(error)
                raise
            self._worked = False
        log.info("Agent %d is signed in.", self.agent_id)

    def keep_alive(self) -> None:
        """Poll events from now on; the first poll yields the Guid that AUTHMODE 2 wants in further calls."""
        self.poll()
        self._poller.start()

    @without_locals
    def poll(self) -> None:
        """Poll events once, and follow the Guid.

        :raises CCError: it failed
        """
        with self._lock:
            guid = self._call(api.agent_events(self.agent_id))
            if guid is not None:
                mask_secret(guid)
                self._guid = guid

    def sign_out(self) -> None:
        """Leave the seat; a failure is logged, not raised, lest it hides what happened before."""
        self._ended.set()
        if self._poller.is_alive():
            self._poller.join()
        try:
            with self._lock:
                self._exchange(api.agent_sign_out(self.agent_id), self._guid)
        except CCError as error:
            log.warning(
                "Agent %d could not be signed out (%s); without polls the gateway does it in two minutes.",
                self.agent_id,
                error,
            )
        else:
            log.info("Agent %d is signed out.", self.agent_id)

    def _call(self, call: Call[Any]) -> Any:
        try:
            result = self._exchange(call, self._guid)
        except CCSessionLapsed as error:
            if not self._worked:
                self._quarantine.add(error)
                raise
            log.info("Agent %d is no longer signed in, signing in again.", self.agent_id)
            self.sign_in()
            if call.endpoint is not api.EVENTS:
                self.poll()  # as after the first sign-in: further calls may want the Guid that a poll yields
            result = self._exchange(call, self._guid)
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
                log.warning(
                    "Agent %d: the event poll failed, the next is due in %g s: %s",
                    self.agent_id,
                    POLL_EVERY,
                    error,
                )
