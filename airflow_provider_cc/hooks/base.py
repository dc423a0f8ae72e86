"""Base class of the hooks for the three systems."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from airflow_provider_cc.api.protocol import Call, Request, Session, fits_header
from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.compat import BaseHook, mask_secret
from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.get_provider_info import CCForm
from airflow_provider_cc.hooks.connection import CCSettings, read_settings
from airflow_provider_cc.hooks.lockout import Credential, Lockout
from airflow_provider_cc.hooks.session import SessionManager, SharedSession, call_flow, unsigned_flow
from airflow_provider_cc.hooks.transport import BlockingClient, BulkClient

T = TypeVar("T")


class CCHook(CCForm, BaseHook):
    """Connection, session and transport of one system; a subclass defines how to sign in and sign requests.

    A hook can be used by any number of threads. A copied or pickled hook reads its connection again.

    :param cc_conn_id: connection ID; by default, that of the connection type
    """

    conn_name_attr = "cc_conn_id"
    default_port: ClassVar[int] = 443
    #: Fields that a sign-in needs: field of the connection → what it contains.
    credentials: ClassVar[Mapping[str, str]]
    #: Extras of this connection type, in addition to the common ones.
    extras: ClassVar[tuple[str, ...]] = ()

    def __init__(self, cc_conn_id: str | None = None) -> None:
        super().__init__()
        self.cc_conn_id = cc_conn_id or self.default_conn_name
        #: Number of this task, and how many tasks use the connection at the same time. Each gets its share of
        #: rate and concurrency. Set before the connection is read.
        self.part = (0, 1)
        # One lock per hook; functools.cached_property has one for all hooks before Python 3.12, then none.
        self._lock = threading.RLock()
        self._settings: CCSettings | None = None
        # The same object for every call of a session; it does not show its contents.
        self._headers_of = lru_cache(1)(self._headers)
        self._client: BlockingClient | None = None
        self._sessions: SessionManager | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cc_conn_id,)

    @abstractmethod
    def _sign_in_call(self) -> Call[Session]:
        """Return the call that yields a session."""

    @abstractmethod
    def _headers(self, session: Session | None) -> Mapping[str, str]:
        """Return the headers that a session adds to a call; without one, those of an unsigned call."""

    @property
    def settings(self) -> CCSettings:
        """The connection, read from Airflow once.

        :raises CCConfigError: an invalid field or extra
        """
        with self._lock:
            if self._settings is None:
                settings = read_settings(self.get_connection(self.cc_conn_id), self.default_port, self.extras)
                mask_secret(settings.password)
                if settings.verify is False:
                    self.log.warning(
                        "Connection %s has verify=false: the password can be intercepted (TLS verification "
                        "is off). Set extra verify to the path of the CA bundle instead.",
                        self.cc_conn_id,
                    )
                self._settings = settings.part(*self.part)
            return self._settings

    @property
    def client(self) -> BlockingClient:
        """The client for single calls.

        :raises CCConfigError: the connection has no host
        """
        with self._lock:
            if self._client is None:
                self.settings.require({"host": self._label("host")}, "every call")
                self._client = BlockingClient(self.settings)
            return self._client

    @property
    def sessions(self) -> SessionManager:
        """The manager of this hook's session.

        :raises CCConfigError: the connection lacks fields that a sign-in needs
        """
        with self._lock:
            if self._sessions is None:
                self._sessions = self._new_sessions(self.settings.share_session)
            return self._sessions

    @property
    def lockout(self) -> Lockout:
        """The rejected credentials of this contact center."""
        return Lockout(self.settings.base_url)

    @property
    def sign_in_credential(self) -> Credential:
        """The credential of a sign-in, with the extras: a wrong extra gets a correct password rejected."""
        settings = self.settings
        extras = (f"{name}={settings.extra.get(name, '')}" for name in self.extras)
        return Credential(self.conn_type, settings.login, (settings.password, *extras))

    def bulk(self) -> BulkClient:
        """Return the client for concurrent calls, for use with ``async with``.

        :raises CCConfigError: the connection lacks fields that a sign-in needs
        """
        return BulkClient(self)

    def get_conn(self) -> Any:
        """Return the ``requests`` session for single calls; it contains no credentials."""
        return self.client.session

    @without_locals
    def send(self, call: Call[T]) -> T:
        """Make a call, signed with the session, with retries where they may help.

        :param call: the call
        :raises CCAuthError: the credential is rejected, or every call is
        :raises CCPermissionError: this call is rejected, although the session works for others
        :raises CCConfigError: the connection is incomplete, or the certificate is not trusted
        :raises CCTransientError: no answer after all attempts
        :raises CCBusinessError: the call is rejected
        :raises CCResponseError: the reply does not match the manual
        """
        sessions = self.sessions  # first, because its error names all missing fields
        return self.client.run(call_flow, call, sessions)

    def test_connection(self) -> tuple[bool, str]:
        """Sign in without the shared session. Returns (success, message); never raises."""
        try:
            self._new_sessions(shared=False).sign_in()
        except CCError as error:
            return False, str(error)
        except Exception as error:
            # Its text may contain anything, including the password.
            return False, f"Connection {self.cc_conn_id!r} cannot be tested: {type(error).__name__}"
        return True, f"Signed in to {self.hook_name} at {self.settings.base_url}."

    def sign(self, request: Request, session: Session) -> Request:
        """Return a request signed with a session; override it for schemes that sign path and body, too."""
        return request.signed(self._headers_of(session))

    def acquire_session(self) -> Session:
        """Sign in once; :attr:`sessions` calls it when a session is needed."""
        try:
            call = self._sign_in_call()
        except ValueError as error:
            raise CCConfigError(f"connection {self.cc_conn_id!r}: {error}") from None
        return self._begin_session(call, "Signed in to %s (connection %s).")

    def refresh_session(self, refresh_token: str) -> Session:
        """Refresh a session; overridden where a sign-in yields a refresh token."""
        raise NotImplementedError

    @without_locals
    def _exchange(self, call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> T:
        """Make a call that this hook's session does not sign, with retries where they may help."""
        if call.secrets:
            self.client.session.close()  # use a new connection: the server may be closing the idle one
        return self.client.run(unsigned_flow, call, headers, secrets)

    def _begin_session(self, call: Call[Session], done: str) -> Session:
        session = self._exchange(call, self._headers(None), (self.settings.password,))
        for secret in session.secrets:
            mask_secret(secret)
        self.log.info(done, self.hook_name, self.cc_conn_id)
        return session

    def _new_sessions(self, shared: bool) -> SessionManager:
        needed = {"host": self._label("host"), **self.credentials}
        self.settings.require(needed, f"signing in to {self.hook_name}")
        return SessionManager(self, SharedSession(self.settings) if shared else None)

    def _header_text(self, field: str, value: str) -> str:
        """Return a text after checking that a header can contain it."""
        if fits_header(value):
            return value
        why = "contains whitespace or characters not allowed in HTTP headers"
        raise CCConfigError(f"connection {self.cc_conn_id!r}: {field} {why}")
