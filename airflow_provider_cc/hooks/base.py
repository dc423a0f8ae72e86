"""What the hooks of the three systems have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import tenacity

from airflow_provider_cc.api.protocol import Call, Session, fits_header
from airflow_provider_cc.compat import BaseHook, mask_secret
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCError,
    CCSessionLapsed,
)
from airflow_provider_cc.hooks import retries
from airflow_provider_cc.hooks.blocking import BlockingClient
from airflow_provider_cc.hooks.bulk import BulkClient
from airflow_provider_cc.hooks.connection import CCForm, CCSettings, read_settings
from airflow_provider_cc.hooks.once import MadeAnew, once
from airflow_provider_cc.hooks.quarantine import Quarantine
from airflow_provider_cc.hooks.sessions import Grant, SessionKeeper
from airflow_provider_cc.hooks.share import VariableStore
from airflow_provider_cc.hooks.tracebacks import without_locals

T = TypeVar("T")


class CCHook(MadeAnew, CCForm, BaseHook):
    """Connection, session and transport of one system; a subclass says how it signs in and signs calls.

    :param cc_conn_id: connection id, the type's default one unless given
    """

    conn_name_attr = "cc_conn_id"
    default_port: ClassVar[int] = 443
    #: What signing in needs: field of the connection → what it is there.
    credentials: ClassVar[Mapping[str, str]]
    #: Extras that this connection type has besides the common ones.
    extras: ClassVar[tuple[str, ...]] = ()

    def __init__(self, cc_conn_id: str | None = None) -> None:
        super().__init__()
        self.cc_conn_id = cc_conn_id or self.default_conn_name

    @abstractmethod
    def _sign_in_call(self) -> Call[Session]:
        """Return the call that yields a session."""

    @abstractmethod
    def _headers(self, session: Session | None) -> Mapping[str, str]:
        """Return what a session puts on a call; without one, what an unsigned call carries."""

    def _refresh_call(self, refresh_token: str) -> Call[Session] | None:
        """Return the call that trades a session for a new one, where the system has one."""
        return None

    @once
    def settings(self) -> CCSettings:
        """Read the connection from Airflow, once.

        :raises CCConfigError: a field or an extra that makes no sense
        """
        settings = read_settings(self.get_connection(self.cc_conn_id), self.default_port, self.extras)
        if settings.password:
            mask_secret(settings.password)
        if settings.verify is False:
            self.log.warning(
                "Connection %s has verify=false: whoever sits between can read its password. "
                "Set extra verify to the path of the CA bundle instead.",
                self.cc_conn_id,
            )
        return settings

    @once
    def quarantine(self) -> Quarantine:
        """Make what keeps this connection's credential from being sent again after it was refused, once."""
        # The extras, too: with a wrong one of them, the right password is refused.
        extras = (str(self.settings.extra.get(name, "")) for name in self.extras)
        return self._quarantine(self.conn_type, self.settings.login, self.settings.password, *extras)

    @once
    def client(self) -> BlockingClient:
        """Make the client for single calls, once."""
        self.settings.require({"host": self._label("host")}, "every call")
        return BlockingClient(self.settings)

    @once
    def sessions(self) -> SessionKeeper:
        """Make the keeper of this hook's session, once.

        :raises CCConfigError: the connection lacks what signing in needs
        """
        return self._keeper(shared=self.settings.share_session)

    def bulk(self) -> BulkClient:
        """Return the client for many calls at a time, to be used by ``async with``.

        :raises CCConfigError: the connection lacks what signing in needs
        """
        return BulkClient(self)

    def get_conn(self) -> Any:
        """Return the ``requests`` session of single calls; it carries no credentials."""
        return self.client.session

    @without_locals
    def send(self, call: Call[T]) -> T:
        """Make a call, signed with the session, tried again where that may help.

        :param call: what to ask
        :raises CCAuthError: the credential is refused
        :raises CCConfigError: the connection lacks something, or the certificate is not trusted
        :raises CCTransientError: no answer after all tries
        :raises CCBusinessError: the answer is no
        :raises CCResponseError: the reply is not what the manual says
        """
        result: T = tenacity.Retrying(**retries.policy())(self._send_once, call)
        return result

    def test_connection(self) -> tuple[bool, str]:
        """Sign in, without the shared session, and say in a sentence how that went; never raises."""
        try:
            keeper = self._keeper(shared=False)
            keeper.sign_in()
        except CCError as error:
            return False, str(error)
        except Exception as error:
            # Its text may hold anything, the password included.
            return False, f"Connection {self.cc_conn_id!r} cannot be tested: {type(error).__name__}"
        return True, f"Signed in to {self.hook_name} at {self.settings.base_url}."

    def diagnose(self) -> list[dict[str, Any]]:
        """Examine this connection against its contact centre, read-only, with one sign-in of its own at most.

        :return: for each check its ``check``, ``verdict`` ("ok", "warn", "fail", "unknown", "skipped"), what
            was ``seen``, ``advice``, and the ``extra`` and ``fields`` that it suggests to set
        """
        # Not above: the doctor uses the hooks.
        from airflow_provider_cc.doctor.diagnosis import examine

        return [finding.as_dict() for finding in examine(self).findings]

    def _send_once(self, call: Call[T]) -> T:
        unanswered = self.sessions.unanswered
        grant = self.sessions.get(unanswered)
        try:
            try:
                result = self.client.exchange(call, grant.headers, self._secrets(grant))
            except CCSessionLapsed as error:
                self.log.info("%s: the session has lapsed, signing in again.", self.cc_conn_id)
                grant = self.sessions.renew(grant, error, unanswered)
                result = self.client.exchange(call, grant.headers, self._secrets(grant))
        except CCBusinessError as error:
            grant.note(error)
            raise
        except CCAuthError as error:
            self.sessions.refused(grant, error)
            raise
        grant.worked = True
        return result

    def _secrets(self, grant: Grant) -> tuple[str, ...]:
        return (*grant.secrets, self.settings.password)

    def _keeper(self, shared: bool) -> SessionKeeper:
        settings = self.settings
        needed = {"host": self._label("host"), **self.credentials}
        settings.require(needed, f"signing in to {self.hook_name}")
        store = None
        if shared:
            identity = f"{settings.base_url}\n{settings.login}"
            store = VariableStore(settings.conn_id, identity, settings.password)
        return SessionKeeper(self._ask_session, self._headers, self._ask_refresh, self.quarantine, store)

    def _quarantine(self, kind: str, login: str, *credential: str) -> Quarantine:
        return Quarantine(kind, self.settings.base_url, login, *credential)

    def _ask_session(self) -> Session:
        try:
            call = self._sign_in_call()
        except ValueError as error:
            raise CCConfigError(f"connection {self.cc_conn_id!r}: {error}") from None
        session = self._exchange_sign_in(call)
        self.log.info("Signed in to %s (connection %s).", self.hook_name, self.cc_conn_id)
        return session

    def _ask_refresh(self, refresh_token: str) -> Session | None:
        call = self._refresh_call(refresh_token)
        if call is None:
            return None
        session = self._exchange_sign_in(call)
        self.log.info("Refreshed the session of %s (connection %s).", self.hook_name, self.cc_conn_id)
        return session

    @without_locals
    def _exchange(
        self, call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...], policy: dict[str, Any]
    ) -> T:
        """Make a call that this hook's session does not sign."""
        result: T = tenacity.Retrying(**policy)(self.client.exchange, call, headers, secrets)
        return result

    def _exchange_sign_in(self, call: Call[Session]) -> Session:
        secrets = (self.settings.password,)
        session = self._exchange(call, self._headers(None), secrets, retries.sign_in_policy())
        for secret in session.secrets:
            mask_secret(secret)
        return session

    def _choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return an extra that must be one of a few texts; the first is the default.

        :raises CCConfigError: it is another one
        """
        value = str(self.settings.extra.get(name) or allowed[0])
        if value not in allowed:
            raise CCConfigError(
                f"connection {self.cc_conn_id!r}: extra {name} must be {' or '.join(allowed)}"
            )
        return value

    def _header_text(self, field: str, value: str) -> str:
        """Insist on what goes into a header as it is.

        :raises CCConfigError: blanks or characters that no header can carry
        """
        if not fits_header(value):
            raise CCConfigError(
                f"connection {self.cc_conn_id!r}: {field} has blanks or characters that no header can carry"
            )
        return value
