"""Sessions: acquire and share a session, sign calls, distinguish a lapsed session from a rejected call."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from airflow_provider_cc.api.protocol import Call, Reply, Request, Session, understand
from airflow_provider_cc.compat import get_variable, set_variable
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCError,
    CCPermissionError,
    CCResponseError,
    CCSessionRefused,
    CCSignInUnavailable,
    CCTransientError,
    ErrorCode,
)
from airflow_provider_cc.hooks.connection import CCSettings

if TYPE_CHECKING:
    from airflow_provider_cc.hooks.base import CCHook

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A session is renewed this many seconds before its end, or a tenth of its lifetime before, if that is less.
LEAD = 60.0
#: A new session cannot lapse for this many seconds, or a tenth of its lifetime, if that is less.
FRESH = 10.0
#: After this many consecutive sessions that worked for no call, no further session is acquired.
MAX_UNUSED = 3
#: Maximum number of sessions for one call.
MAX_SESSIONS = 5

#: A flow does no I/O. It yields what its client must do: send a request and return the reply, or call a
#: function that may block, outside the event loop.
Flow: TypeAlias = Generator[Request | Callable[[], Any], Any, T]


class ActiveSession:
    """A session in use.

    :param session: what the sign-in returned
    :param secret: the connection's password, removed from texts as the session is
    :param begun: when the sign-in was sent, on the monotonic clock
    :param is_shared: whether it comes from another task, which may have used it for a long time
    """

    __slots__ = ("fresh_until", "refresh_until", "secrets", "session", "stale_at", "worked_at")

    def __init__(self, session: Session, secret: str, begun: float, is_shared: bool = False) -> None:
        self.session = session
        self.secrets = (*session.secrets, secret)
        self.stale_at = _end(begun, session.lifetime)
        self.refresh_until = _end(begun, session.refresh_lifetime)
        self.fresh_until = 0.0 if is_shared else begun + min(FRESH, (session.lifetime or 100.0) / 10)
        #: When the latest call that succeeded with it was sent; 0 if none has.
        self.worked_at = 0.0


def _end(begun: float, lifetime: float | None) -> float:
    return float("inf") if lifetime is None else begun + lifetime - min(LEAD, lifetime / 10)


def call_flow(call: Call[T], sessions: SessionManager) -> Flow[T]:
    """Make a call, signed with a session that is renewed if it has lapsed; raises like ``CCHook.send``."""
    failures = sessions.failures
    for _ in range(MAX_SESSIONS):
        active = sessions.current
        if active is None:
            active = yield partial(sessions.get, failures)
        sent_at = time.monotonic()
        reply: Reply = yield sessions.sign(call.request, active.session)
        try:
            result = understand(call, reply, active.secrets)
        except CCSessionRefused as error:
            refusal = error
        except CCBusinessError as error:
            if error.status is None:  # the contact center's own code: it accepted the session
                sessions.worked(active, call, sent_at)
            raise
        else:
            sessions.worked(active, call, sent_at)
            return result
        yield partial(sessions.replace, active, call, refusal, time.monotonic(), failures)
    text = f"the session lapsed {MAX_SESSIONS} times before the call succeeded"
    raise CCTransientError(call.endpoint.name, ErrorCode.SESSION_LAPSED, text)


def unsigned_flow(call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...]) -> Flow[T]:
    """Make a call that no session signs; the secrets in the headers are removed from all texts."""
    reply: Reply = yield call.request.signed(headers)
    return understand(call, reply, secrets)


class SessionManager:
    """One session for any number of threads and coroutines; only one sign-in runs at a time.

    A rejected sign-in is final: all later calls raise the same failure, and nothing more is sent.

    To find out whether a 401, a 403 or a code such as 000-003 concerns the call or the session, a query that
    succeeded recently (the witness) is repeated with the same session. If it succeeds, only the call is
    rejected; otherwise the session has lapsed.

    :param hook: signs in and signs requests
    :param store: shares the session with other tasks
    """

    def __init__(self, hook: CCHook, store: SharedSession | None = None) -> None:
        self._hook = hook
        self.sign = hook.sign
        self._store = store
        self._lock = threading.Lock()
        self._active: ActiveSession | None = None
        self._witness: Call[Any] | None = None
        self._has_worked = False
        #: Endpoints that were rejected with a session that cannot have lapsed.
        self._denied: set[str] = set()
        self._unused = 0
        #: Why the latest sign-in failed.
        self._failure: CCAuthError | CCConfigError | CCSignInUnavailable | None = None
        #: Sign-ins that failed without a rejection; a call remembers this number when it begins.
        self.failures = 0
        #: Sign-ins sent.
        self.sign_ins = 0
        #: Repeated queries that distinguished a lapsed session from a rejected call.
        self.probes = 0

    @property
    def current(self) -> ActiveSession | None:
        """The session, if it is still valid; takes no lock."""
        active = self._active
        return active if active is not None and time.monotonic() < active.stale_at else None

    def worked(self, active: ActiveSession, call: Call[Any], sent_at: float) -> None:
        """Record a call that the contact center answered, and when it was sent (monotonic clock)."""
        if sent_at > active.worked_at:
            active.worked_at = sent_at
            self._has_worked, self._unused = True, 0
        if call.endpoint.is_query and not call.secrets:
            self._witness = call

    def get(self, failures: int) -> ActiveSession:
        """Return a valid session, signing in if there is none. May block.

        :param failures: :attr:`failures` when the call began: a sign-in that failed since then is not
            repeated
        :raises CCAuthError: the credential is rejected, now or earlier
        :raises CCSignInUnavailable: the sign-in got no usable answer
        """
        with self._lock:
            return self.current or self._acquire(failures)

    def replace(
        self, refused: ActiveSession, call: Call[Any], refusal: CCSessionRefused, at: float, failures: int
    ) -> None:
        """Replace the session that signed a rejected call if it has lapsed. May block.

        :param at: when the rejection arrived, on the monotonic clock
        :param failures: :attr:`failures` when the call began
        :raises CCPermissionError: the session has not lapsed: only this call is rejected
        :raises CCSessionRefused: no call has succeeded yet, so the cause is unknown
        :raises CCAuthError: all calls are rejected
        :raises CCTransientError: the call carries a password, which may have been processed
        """
        with self._lock:
            if self._active is not refused:
                return  # already replaced for another call
            if not self._has_lapsed(refused, refusal, at) and call.secrets:
                self._active = None
                text = "the session may have lapsed; the call carries a password and is not repeated"
                raise CCTransientError(refusal.endpoint, ErrorCode.SESSION_LAPSED, text)
            self._unused = 0 if refused.worked_at else self._unused + 1
            if self._unused >= MAX_UNUSED:
                text = f"{refusal.text}; {self._unused} sessions in a row were rejected"
                raise CCAuthError(refusal.endpoint, refusal.code, text, refusal.status)
            self._active = None
            self._acquire(failures, refused.session.token)

    def sign_in(self) -> ActiveSession:
        """Sign in now, even if there is a session; raises like :meth:`get`."""
        with self._lock:
            self._raise_failure()
            return self._signed_in()

    def refresh(self) -> ActiveSession:
        """Refresh the session now, or sign in if that is not possible; raises like :meth:`get`."""
        with self._lock:
            self._raise_failure()
            return self._refreshed() or self._signed_in()

    def _has_lapsed(self, active: ActiveSession, refusal: CCSessionRefused, refused_at: float) -> bool:
        """Return whether a session has certainly lapsed; raise if it has not."""
        witness = self._witness
        if active.worked_at >= refused_at or (witness and self._works(active, witness, refusal)):
            raise CCPermissionError(*refusal.args)
        if time.monotonic() < active.fresh_until:  # its lifetime is not over yet
            if witness:
                if refusal.status == 403:
                    raise CCAuthError(*refusal.args)
            elif not active.worked_at:
                # Calls to other endpoints may have succeeded before.
                self._denied.add(refusal.endpoint)
                raise CCPermissionError(*refusal.args) if self._has_worked else refusal
            elif refusal.endpoint in self._denied:
                raise CCPermissionError(*refusal.args)
        return witness is not None

    def _works(self, active: ActiveSession, witness: Call[Any], refusal: CCSessionRefused) -> bool:
        sent_at = time.monotonic()
        self.probes += 1
        try:
            reply = self._hook.client.send(self.sign(witness.request, active.session))
            understand(witness, reply, active.secrets)
        except CCAuthError:
            return False
        except CCTransientError as error:
            raise CCTransientError(refusal.endpoint, error.code, error.text) from None
        except (CCBusinessError, CCResponseError):
            pass  # an answer, not a rejection
        active.worked_at = sent_at
        return True

    def _acquire(self, failures: int, lapsed_token: str = "") -> ActiveSession:
        self._raise_failure(failures)
        if (refreshed := self._refreshed()) is not None:
            return refreshed
        shared = self._store.load() if self._store is not None else None
        if shared is None or shared.session.token == lapsed_token:
            return self._signed_in()
        self._active = shared
        return shared

    def _raise_failure(self, failures: int | None = None) -> None:
        """Raise the failure of a rejected sign-in, or of one that failed since a call began."""
        failure = self._failure
        if isinstance(failure, CCSignInUnavailable) and (failures is None or self.failures <= failures):
            return
        if failure is not None:
            raise type(failure)(*failure.args)  # a copy, because other threads also raise it

    def _refreshed(self) -> ActiveSession | None:
        old = self._active
        if old is None or old.session.refresh_token is None or time.monotonic() >= old.refresh_until:
            return None
        begun = time.monotonic()
        try:
            return self._use(self._hook.refresh_session(old.session.refresh_token), begun)
        except CCError:
            return None  # sign in with the password instead

    def _signed_in(self) -> ActiveSession:
        try:
            with self._hook.lockout.guard(self._hook.sign_in_credential):
                begun = time.monotonic()
                self.sign_ins += 1
                session = self._hook.acquire_session()
        except (CCAuthError, CCConfigError) as error:
            self._failure = error
            raise
        except CCError as error:
            # Not a rejection of the credential: this attempt fails, and the next one may send it at once.
            self.failures += 1
            self._failure = CCSignInUnavailable(*error.args)
            raise CCSignInUnavailable(*error.args) from None
        return self._use(session, begun)

    def _use(self, session: Session, begun: float) -> ActiveSession:
        if self._store is not None:
            self._store.save(session)
        self._active = ActiveSession(session, self._hook.settings.password, begun)
        return self._active


class _Shared(msgspec.Struct):
    session: Session
    saved_at: float


class SharedSession:
    """Keeps a connection's session in the Variable ``cc_token__<conn_id>``.

    The key is derived from the connection's own secret, so the Variable is useless without the connection,
    and a changed password makes the old session unreadable. Times are wall-clock times, so that machines can
    compare them. If Variables are unavailable, the session is not shared.

    :param settings: the connection; with another host or login, the session is also unreadable
    """

    def __init__(self, settings: CCSettings) -> None:
        self._variable = f"cc_token__{settings.conn_id}"
        salt = f"{settings.conn_id}\n{settings.base_url}\n{settings.login}".encode()
        # Deliberately slow, because the password may be short: about 50 ms, once per task.
        key = hashlib.scrypt(settings.password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
        self._secret = settings.password
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    def load(self) -> ActiveSession | None:
        """Return the shared session, if there is one that has not lapsed."""
        stored = get_variable(self._variable)
        if stored is None:
            return None
        try:
            shared = msgspec.json.decode(self._cipher.decrypt(stored.encode()), type=_Shared)
        except (InvalidToken, msgspec.MsgspecError, ValueError, TypeError):
            log.info("Variable %s has no session for this connection; signing in.", self._variable)
            return None
        now, age = time.monotonic(), time.time() - shared.saved_at
        active = ActiveSession(shared.session, self._secret, now - age, is_shared=True)
        return active if now < active.stale_at else None

    def save(self, session: Session) -> None:
        """Share a session that a sign-in has just returned."""
        encrypted = self._cipher.encrypt(msgspec.json.encode(_Shared(session, time.time()))).decode()
        description = "Session shared by tasks, encrypted with the connection's secret."
        set_variable(self._variable, encrypted, description)
