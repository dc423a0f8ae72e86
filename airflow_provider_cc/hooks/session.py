"""Sessions: acquire and share one, sign a call, tell a lapsed session from a refused call."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
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

#: A session is renewed this long before its end, or a tenth of its lifetime before if that is less (seconds).
LEAD = 60.0
#: For so many seconds, or a tenth of its lifetime if that is less, a new session cannot have lapsed.
FRESH = 10.0
#: Sessions in a row that worked for no call at all, after which no further one is acquired.
MAX_UNUSED = 3
#: Sessions that one call is tried with.
MAX_SESSIONS = 5

#: What a flow, which does no I/O, asks its client for: to send a request and return the reply, to wait so
#: many seconds, or to call a function that may block, and so not inside an event loop.
Step: TypeAlias = Request | float | Callable[[], Any]
Flow: TypeAlias = Generator[Step, Any, T]


class ActiveSession:
    """A session in use.

    :param session: what the sign-in returned
    :param begun: when the sign-in was sent, on the monotonic clock; ``None`` for one that another task shares
    :param secret: the connection's password, removed from texts like the session itself
    """

    __slots__ = ("begun", "fresh_until", "refresh_until", "secrets", "session", "stale_at", "worked_at")

    def __init__(self, session: Session, begun: float | None, secret: str) -> None:
        self.session = session
        self.secrets = (*session.secrets, secret)
        start = time.monotonic() if begun is None else begun
        self.stale_at = _end(start, session.lifetime)
        self.refresh_until = _end(start, session.refresh_lifetime)
        fresh = 0.0 if begun is None else min(FRESH, (session.lifetime or 100.0) / 10)
        self.fresh_until = start + fresh
        #: When the latest call that worked with it was sent; ``None`` before the first.
        self.worked_at: float | None = None


def lead(lifetime: float) -> float:
    """Return how long before its end a session of so many seconds is renewed."""
    return min(LEAD, lifetime / 10)


def _end(begun: float, lifetime: float | None) -> float:
    return float("inf") if lifetime is None else begun + lifetime - lead(lifetime)


def call_flow(call: Call[T], sessions: SessionManager) -> Flow[T]:
    """Make a call, signed with a session that is renewed if it has lapsed.

    :raises CCAuthError: the credential is refused, or every call is
    :raises CCPermissionError: this call is refused although the session works for others
    :raises CCError: as :func:`airflow_provider_cc.api.protocol.understand`
    """
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
            if error.status is None:  # a code of the contact center's own: it accepted the session
                sessions.worked(active, call, sent_at)
            raise
        else:
            sessions.worked(active, call, sent_at)
            return result
        yield partial(sessions.replace, active, call, refusal, time.monotonic(), failures)
    text = f"the session lapsed {MAX_SESSIONS} times before the call arrived"
    raise CCTransientError(call.endpoint.name, ErrorCode.SESSION_LAPSED, text)


def unsigned_flow(call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...]) -> Flow[T]:
    """Make a call that no session signs; the secrets in the headers are removed from all texts."""
    reply: Reply = yield call.request.signed(headers)
    return understand(call, reply, secrets)


class SessionManager:
    """Gives one session to any number of threads and coroutines; one acquisition at a time serves all.

    A refused sign-in is final: the same failure is raised to all later calls, and nothing more is sent.

    Whether a 401, a 403 or a code such as 000-003 is about the call or the session is decided by evidence: a
    query that worked lately (the witness) is made once more with the same session. If it works, the call is
    refused; if it does not, the session has lapsed.

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
        #: Endpoints that were refused with a session that cannot have lapsed.
        self._denied: set[str] = set()
        self._unused = 0
        self._refused: CCAuthError | CCConfigError | None = None
        self._failed: CCSignInUnavailable | None = None
        #: Sign-ins that failed without a verdict; a call notes it when it begins.
        self.failures = 0
        #: Sign-ins sent.
        self.sign_ins = 0
        #: Repeated queries that told a lapsed session from a refused call.
        self.probes = 0

    @property
    def current(self) -> ActiveSession | None:
        """The session, if it can be used as it is; takes no lock."""
        active = self._active
        return active if active is not None and time.monotonic() < active.stale_at else None

    def worked(self, active: ActiveSession, call: Call[Any], sent_at: float) -> None:
        """Note a call that the contact center answered, and when it was sent (monotonic clock)."""
        if active.worked_at is None or sent_at > active.worked_at:
            active.worked_at = sent_at
            self._has_worked, self._unused = True, 0
        if call.endpoint.is_query and not call.secrets:
            self._witness = call

    def get(self, failures: int | None = None) -> ActiveSession:
        """Return a session that can be used, signing in if there is none. May block.

        :param failures: :attr:`failures` when the call began, if not now: a sign-in that failed since is not
            repeated for it
        :raises CCAuthError: refused, now or earlier
        :raises CCSignInUnavailable: the sign-in got no usable answer
        """
        with self._lock:
            return self.current or self._acquire(None, self.failures if failures is None else failures)

    def replace(
        self, refused: ActiveSession, call: Call[Any], refusal: CCSessionRefused, at: float, failures: int
    ) -> None:
        """Replace a session that has lapsed, so that a refused call can be repeated. May block.

        :param refused: the session that signed the call
        :param call: the call
        :param refusal: how it was refused
        :param at: when, on the monotonic clock
        :param failures: :attr:`failures` when the call began
        :raises CCPermissionError: the session has not lapsed: only this call is refused
        :raises CCSessionRefused: no call has worked yet, so nobody knows
        :raises CCAuthError: all calls are refused
        :raises CCTransientError: the call carries a password, and may have been looked at
        """
        with self._lock:
            if self._active is not refused:
                return  # replaced already, on behalf of another call
            if not self._has_lapsed(refused, refusal, at) and call.secrets:
                self._active = None
                text = "the session may have lapsed; the call carries a password and is not repeated"
                raise CCTransientError(refusal.endpoint, ErrorCode.SESSION_LAPSED, text)
            self._renew(refused, refusal, failures)

    def sign_in(self) -> ActiveSession:
        """Sign in now, even if there is a session.

        :raises CCAuthError: refused
        """
        with self._lock:
            self._raise_if_refused()
            return self._signed_in()

    def refresh(self) -> ActiveSession:
        """Refresh the session now; sign in where that is not possible.

        :raises CCAuthError: refused
        """
        with self._lock:
            self._raise_if_refused()
            return self._refreshed() or self._signed_in()

    def _has_lapsed(self, active: ActiveSession, refusal: CCSessionRefused, refused_at: float) -> bool:
        """Return whether it is proven that a session has lapsed; raise if it has not."""
        if active.worked_at is not None and active.worked_at >= refused_at:
            raise CCPermissionError(*refusal.args)
        witness, proven = self._witness, False
        if witness is not None:
            if self._works(active, witness, refusal):
                raise CCPermissionError(*refusal.args)
            proven = True
        if time.monotonic() < active.fresh_until:  # it cannot have lapsed by itself yet
            if proven and (active.worked_at is None or refusal.status == 403):
                raise CCAuthError(*refusal.args)
            if active.worked_at is None:
                # Without a witness, calls of another kind may have worked before.
                self._denied.add(refusal.endpoint)
                raise CCPermissionError(*refusal.args) if self._has_worked else refusal
            if not proven and refusal.endpoint in self._denied:
                raise CCPermissionError(*refusal.args)
        return proven

    def _works(self, active: ActiveSession, witness: Call[Any], refusal: CCSessionRefused) -> bool:
        sent_at = time.monotonic()
        self.probes += 1
        try:
            self._hook.send_once(witness, active.session)
        except CCAuthError:
            return False
        except CCTransientError as error:
            raise CCTransientError(refusal.endpoint, error.code, error.text) from None
        except (CCBusinessError, CCResponseError):
            pass  # an answer, and no refusal
        active.worked_at = sent_at
        return True

    def _renew(self, lapsed: ActiveSession, refusal: CCSessionRefused, failures: int) -> None:
        self._unused = self._unused + 1 if lapsed.worked_at is None else 0
        if self._unused >= MAX_UNUSED:
            text = f"{refusal.text}; {self._unused} sessions in a row were refused"
            raise CCAuthError(refusal.endpoint, refusal.code, text, refusal.status)
        self._acquire(lapsed, failures)

    def _acquire(self, lapsed: ActiveSession | None, failures: int) -> ActiveSession:
        self._raise_if_refused()
        if self._failed is not None and self.failures > failures:
            raise _copy(self._failed)
        if lapsed is not None:
            self._active = None
            return self._shared(lapsed) or self._signed_in()
        return self._refreshed() or self._shared(None) or self._signed_in()

    def _raise_if_refused(self) -> None:
        if self._refused is not None:
            raise _copy(self._refused)

    def _shared(self, lapsed: ActiveSession | None) -> ActiveSession | None:
        session = self._store.load() if self._store is not None else None
        if session is None or (lapsed is not None and session.token == lapsed.session.token):
            return None
        return self._use(session, None)

    def _refreshed(self) -> ActiveSession | None:
        old = self._active
        if old is None or old.session.refresh_token is None or time.monotonic() >= old.refresh_until:
            return None
        begun = time.monotonic()
        try:
            return self._use(self._hook.refresh_session(old.session.refresh_token), begun)
        except CCError:
            return None  # the password is still there to sign in with

    def _signed_in(self) -> ActiveSession:
        try:
            with self._hook.lockout.guard(self._hook.sign_in_credential):
                begun = time.monotonic()
                self.sign_ins += 1
                session = self._hook.acquire_session()
        except (CCAuthError, CCConfigError) as error:
            self._refused = error
            raise
        except CCError as error:
            # No verdict on the credential: this attempt fails, and the next one may send it at once.
            self.failures += 1
            self._failed = CCSignInUnavailable(*error.args)
            raise _copy(self._failed) from None
        return self._use(session, begun)

    def _use(self, session: Session, begun: float | None) -> ActiveSession:
        if self._store is not None and begun is not None:
            self._store.save(session)
        self._active = ActiveSession(session, begun, self._hook.settings.password)
        return self._active


def _copy(error: CCError) -> CCError:
    """Return an exception's copy, for another thread to raise."""
    return type(error)(*error.args)


class _Shared(msgspec.Struct):
    session: Session
    saved_at: float


class SharedSession:
    """Keeps a connection's session in the Variable ``cc_token__<conn_id>``.

    The key is derived from the connection's own secret, so the Variable is useless without the connection,
    and a changed password makes the old session unreadable. Times are wall-clock times, since machines share
    them. If Variables are unavailable, the session is not shared.

    :param settings: the connection; with another host or login, the session cannot be read either
    """

    def __init__(self, settings: CCSettings) -> None:
        self._variable = f"cc_token__{settings.conn_id}"
        salt = f"{settings.conn_id}\n{settings.base_url}\n{settings.login}".encode()
        # Slow on purpose, as the password may be short: about 50 ms, once in a task.
        key = hashlib.scrypt(settings.password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    def load(self) -> Session | None:
        """Return the shared session with its remaining lifetime, if there is one that has not lapsed."""
        stored = get_variable(self._variable)
        if stored is None:
            return None
        try:
            shared = msgspec.json.decode(self._cipher.decrypt(stored.encode()), type=_Shared)
        except (InvalidToken, msgspec.MsgspecError, ValueError, TypeError):
            log.info("Variable %s holds no session of this connection: signing in.", self._variable)
            return None
        session, age = shared.session, time.time() - shared.saved_at
        # The lead of the whole lifetime: that of what is left would shrink with every load, down to nothing.
        if session.lifetime is not None and session.lifetime - age <= lead(session.lifetime):
            return None

        def left(seconds: float | None) -> float | None:
            return None if seconds is None else seconds - age

        lifetime, refresh_lifetime = left(session.lifetime), left(session.refresh_lifetime)
        return replace(session, lifetime=lifetime, refresh_lifetime=refresh_lifetime)

    def save(self, session: Session) -> None:
        """Share a session that a sign-in has just returned."""
        encrypted = self._cipher.encrypt(msgspec.json.encode(_Shared(session, time.time()))).decode()
        description = "Session shared by tasks, encrypted with the connection's secret."
        set_variable(self._variable, encrypted, description)
