"""The life of a session: acquired when first needed, renewed in time, dropped when refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCError,
    CCSessionLapsed,
    CCSignInUnavailable,
)
from airflow_provider_cc.hooks.quarantine import Quarantine

#: A session is renewed this long before its end, or a tenth of its lifetime before if that is less (seconds).
LEAD = 60.0


class SessionStore(Protocol):
    """Where other tasks and workers may find a session."""

    def load(self) -> Session | None:
        """Return a session that is still good, with the lifetime that is left."""

    def save(self, session: Session) -> None:
        """Keep a session for others."""


class Grant:
    """A session in use.

    :param session: what the sign-in yielded
    :param headers: the headers that sign a call with it
    :param begun: when the sign-in was sent, on the monotonic clock
    :param worked: whether a call has succeeded with it; one from the store has, elsewhere
    """

    __slots__ = ("headers", "refresh_until", "secrets", "session", "stale_at", "worked")

    def __init__(self, session: Session, headers: Mapping[str, str], begun: float, worked: bool) -> None:
        self.session = session
        self.headers = headers
        self.secrets = session.secrets
        self.stale_at = _end(begun, session.lifetime)
        self.refresh_until = _end(begun, session.refresh_lifetime)
        self.worked = worked

    def note(self, error: CCBusinessError) -> None:
        """Note a declined call: a code of the contact centre's own says that it accepted the session."""
        self.worked = self.worked or not error.code.startswith("HTTP")


def lead(lifetime: float) -> float:
    """Return how long before its end a session is renewed.

    :param lifetime: the whole of it, in seconds
    """
    return min(LEAD, lifetime / 10)


def _end(begun: float, lifetime: float | None) -> float:
    return float("inf") if lifetime is None else begun + lifetime - lead(lifetime)


def _again(error: CCError) -> CCError:
    """Return an exception's copy, for another thread to raise."""
    return type(error)(*error.args)


class SessionKeeper:
    """Gives out one session to any number of threads; coroutines ask it from a thread.

    A sign-in that is refused or that the connection does not allow, and a session that is refused before it
    ever worked, are final: the same failure is raised to everyone from then on, and nothing more is sent. So
    a task try sends a wrong credential once, and signs in at most twice when every call is refused. A
    credential that was refused in either way is put to rest, and other tasks do not send it again.

    :param sign_in: asks the contact centre for a session
    :param sign: the headers that a session puts on a call
    :param refresh: trades a refresh token for a new session; ``None`` where the system cannot
    :param quarantine: keeps a refused credential from being sent again
    :param store: shares the session with other tasks
    """

    def __init__(
        self,
        sign_in: Callable[[], Session],
        sign: Callable[[Session], Mapping[str, str]],
        refresh: Callable[[str], Session | None],
        quarantine: Quarantine,
        store: SessionStore | None = None,
    ) -> None:
        self._sign_in = sign_in
        self._sign = sign
        self._refresh = refresh
        self._quarantine = quarantine
        self._store = store
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._proven = False
        self._final: CCAuthError | CCConfigError | None = None
        self._unanswered: list[CCError] = []
        self.sign_ins = 0

    @property
    def fresh(self) -> Grant | None:
        """The session, if it can be used as it is; costs no lock."""
        grant = self._grant
        return grant if grant is not None and time.monotonic() < grant.stale_at else None

    @property
    def unanswered(self) -> int:
        """How many sign-ins have failed without a refusal; a call notes it when it begins."""
        return len(self._unanswered)

    def get(self, unanswered: int | None = None) -> Grant:
        """Return a session that can be used, signing in if there is none.

        :param unanswered: :attr:`unanswered` when the call began, if not now: a sign-in that failed since
            is not repeated for it
        :raises CCAuthError: refused, now or earlier
        :raises CCTransientError: the contact centre does not answer
        """
        return self.fresh or self._acquire(None, None, unanswered)

    def renew(self, refused: Grant, error: CCSessionLapsed, unanswered: int | None = None) -> Grant:
        """Return a session in place of one that a call was refused with; one sign-in serves all who ask.

        :param refused: the session that was refused
        :param error: the refusal
        :param unanswered: as for :meth:`get`
        :raises CCAuthError: it had never worked, or the new sign-in is refused
        """
        return self._acquire(refused, error, unanswered)

    def refused(self, grant: Grant, error: CCAuthError) -> None:
        """Note that a call was refused for good; before the first success, that is final.

        :param grant: what the call was signed with
        :param error: the refusal
        """
        with self._lock:
            if self._final is None and not self._proven and not grant.worked:
                self._end(error)

    def sign_in(self) -> Grant:
        """Sign in now, whatever is at hand.

        :raises CCAuthError: refused
        """
        with self._lock:
            self._raise_if_final()
            return self._signed_in()

    def refresh(self) -> Grant:
        """Trade the session for a new one now, or sign in where that cannot be."""
        with self._lock:
            self._raise_if_final()
            return self._refreshed() or self._signed_in()

    def _acquire(
        self, instead_of: Grant | None, error: CCSessionLapsed | None, unanswered: int | None
    ) -> Grant:
        if unanswered is None:
            unanswered = self.unanswered
        with self._lock:
            self._raise_if_final()
            current = self.fresh
            # Somebody else may have been faster while this one waited for the lock …
            if current is not None and current is not instead_of:
                return current
            # … or have failed for both.
            if self.unanswered > unanswered:
                raise _again(self._unanswered[-1])
            lapsed = self._grant
            if lapsed is not None and lapsed is instead_of:
                self._grant = None
                if not lapsed.worked and error is not None:
                    self._end(error)
                    self._raise_if_final()
                self._proven = True
                return self._signed_in()
            return self._refreshed() or self._shared() or self._signed_in()

    def _end(self, error: CCAuthError) -> None:
        self._final = error
        self._quarantine.add(error)

    def _raise_if_final(self) -> None:
        if self._final is not None:
            raise _again(self._final)

    def _shared(self) -> Grant | None:
        session = self._store.load() if self._store is not None else None
        return self._take(session, time.monotonic(), worked=True) if session is not None else None

    def _refreshed(self) -> Grant | None:
        old = self._grant
        if old is None or old.session.refresh_token is None:
            return None
        begun = time.monotonic()
        if begun >= old.refresh_until:
            return None
        try:
            session = self._refresh(old.session.refresh_token)
        except CCError:
            return None  # the password is still there to sign in with
        return None if session is None else self._keep(session, begun)

    def _signed_in(self) -> Grant:
        try:
            with self._quarantine.guard():
                begun = time.monotonic()
                self.sign_ins += 1
                session = self._sign_in()
        except (CCAuthError, CCConfigError) as error:
            self._final = error
            raise
        except CCError as error:
            # Also a 500 or what is no HTTP: nobody knows what became of the credential, so it rests.
            self._unanswered.append(CCSignInUnavailable(*error.args))
            raise _again(self._unanswered[-1]) from None
        return self._keep(session, begun)

    def _keep(self, session: Session, begun: float) -> Grant:
        if self._store is not None:
            self._store.save(session)
        return self._take(session, begun, worked=False)

    def _take(self, session: Session, begun: float, worked: bool) -> Grant:
        self._proven = self._proven or worked or (self._grant is not None and self._grant.worked)
        self._grant = Grant(session, self._sign(session), begun, worked)
        return self._grant
