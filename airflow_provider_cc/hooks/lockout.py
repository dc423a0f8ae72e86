"""Lockout protection: a rejected credential is not sent again for a while, by any task, DAG run or test."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec

from airflow_provider_cc.api.protocol import STATUS_TEXT
from airflow_provider_cc.api.text import printable
from airflow_provider_cc.compat import get_variable, set_variable
from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, ErrorCode

log = logging.getLogger(__name__)

#: How long a credential is blocked after its first rejection; twice as long after each further one …
FIRST_BLOCK = timedelta(minutes=5)
#: … up to this.
LONGEST_BLOCK = timedelta(hours=24)
#: Rejections that are kept for one contact center; the oldest are dropped first.
MOST_ENTRIES = 2000
#: Variable with the key of all fingerprints. Airflow masks its value because of its name.
KEY_VARIABLE = "cc_refused_secret"


class Credential(NamedTuple):
    """What a sign-in sends.

    :param kind: a connection type, "account", "user" or "agent"
    :param login: the login
    :param parts: the password, and every other field that is part of the sign-in
    """

    kind: str
    login: str
    parts: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name of its entry in :class:`Lockout`: the same for all passwords of a login."""
        return hashlib.sha256(msgspec.json.encode((self.kind, self.login))).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Credential({self.kind!r})"


class _Entry(msgspec.Struct, frozen=True):
    """The latest rejection of a login."""

    fingerprint: str
    rejections: int
    rejected_at: Annotated[datetime, msgspec.Meta(tz=True)]
    endpoint: str
    reason: str

    @property
    def block(self) -> timedelta:
        return min(LONGEST_BLOCK, FIRST_BLOCK * 2.0 ** min(self.rejections - 1, 20))


class Lockout:
    """The rejected credentials of one contact center, in the Airflow Variable ``cc_blocked__<hash>``.

    It applies to all workers and connection tests, whichever connection contains the credential. It holds
    keyed fingerprints, never a password. If Variables are unavailable, nothing is blocked.

    :meth:`load` and :meth:`save` call Airflow, so never use them inside an event loop; the other methods work
    on what was loaded.

    :param address: schema, host and port of the contact center
    """

    def __init__(self, address: str) -> None:
        self._address = address
        # Secrets backends, which are queried first, may not accept other characters.
        self.variable = f"cc_blocked__{hashlib.sha256(address.encode()).hexdigest()[:16]}"
        self._key: str | None = None
        self._entries: dict[str, _Entry] = {}
        self._changes: dict[str, _Entry | None] = {}

    def load(self) -> None:
        """Read the Variable."""
        self._entries = self._read()
        if self._entries and self._key is None:
            self._key = get_variable(KEY_VARIABLE)

    def blocked(self, credential: Credential) -> str | None:
        """Return why and until when a credential is blocked; ``None`` if it is not."""
        entry = self._entries.get(credential.key)
        # abs: a clock that was set back must not block for longer than the block lasts.
        if entry is None or abs(_now() - entry.rejected_at) >= entry.block:
            return None
        if not self._matches(entry, credential):
            return None
        return (
            f"not sent: rejected at {_shown(entry.rejected_at)} ({printable(entry.reason)}), blocked until "
            f"{_shown(entry.rejected_at + entry.block)} to avoid locking the account. Fix the credential to "
            "retry immediately. If the cause was something else, run: airflow variables delete "
            f"{self.variable}"
        )

    def reject(self, credential: Credential, error: CCAuthError | CCBusinessError) -> None:
        """Record a rejection; :meth:`save` shares it with other tasks."""
        self._key = self._key or _create_key()
        if self._key is None:
            return
        before = self._entries.get(credential.key)
        rejections = before.rejections if before is not None and self._matches(before, credential) else 0
        reason = error.code if error.status is None else f"{error.code}, {STATUS_TEXT.get(error.status, '')}"
        entry = _Entry(self._fingerprint(credential), rejections + 1, _now(), error.endpoint, reason)
        self._entries[credential.key] = self._changes[credential.key] = entry

    def accept(self, credential: Credential) -> None:
        """Record a success, which clears earlier rejections; :meth:`save` shares it with other tasks."""
        if self._entries.pop(credential.key, None) is not None:
            self._changes[credential.key] = None

    def save(self) -> None:
        """Write what was recorded since the last time."""
        changes, self._changes = self._changes, {}
        if not changes:
            return
        entries = {**self._read(), **changes}  # read again, as other tasks write it, too
        # Older entries no longer count, either for the block or for the length of the next one.
        recent = [
            (name, entry)
            for name, entry in entries.items()
            if entry is not None and abs(_now() - entry.rejected_at) < 2 * LONGEST_BLOCK
        ]
        kept = dict(sorted(recent, key=lambda item: item[1].rejected_at)[-MOST_ENTRIES:])
        description = (
            f"Rejected credentials at {self._address}. Delete it to allow all of them to be retried."
        )
        set_variable(self.variable, msgspec.json.encode(kept).decode(), description)

    @contextmanager
    def guard(
        self,
        credential: Credential,
        error_type: type[CCAuthError] | type[CCBusinessError] = CCAuthError,
        is_verdict: Callable[[Any], bool] = lambda _: True,
    ) -> Iterator[None]:
        """Allow a call unless its credential is blocked, and record whether it is rejected.

        :param credential: the credential that the call sends
        :param error_type: raised by the call when the credential is rejected, and here while it is blocked
        :param is_verdict: returns whether an error of this type means that the credential was rejected
        """
        self.load()
        text = self.blocked(credential)
        if text is not None:
            endpoint = printable(self._entries[credential.key].endpoint)
            raise error_type(endpoint, ErrorCode.BLOCKED, text)
        try:
            yield
        except error_type as error:
            if is_verdict(error):
                self.reject(credential, error)
                self.save()
                log.warning("%s", self.blocked(credential) or "The rejected credential cannot be tracked.")
            raise
        self.accept(credential)
        self.save()

    def _read(self) -> dict[str, _Entry]:
        stored = get_variable(self.variable)
        try:
            return msgspec.json.decode(stored or "{}", type=dict[str, _Entry])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            log.warning("Ignoring Variable %s: unexpected content.", self.variable)
            return {}

    def _matches(self, entry: _Entry, credential: Credential) -> bool:
        return hmac.compare_digest(entry.fingerprint.encode(), self._fingerprint(credential).encode())

    def _fingerprint(self, credential: Credential) -> str:
        message = msgspec.json.encode((self._address, *credential))
        return hmac.new((self._key or "").encode(), message, hashlib.sha256).hexdigest()


def _create_key() -> str | None:
    """Return the key of all fingerprints, creating it if necessary; ``None`` without Variables."""
    if key := get_variable(KEY_VARIABLE):
        return key
    description = "Key of the fingerprints of rejected credentials. Deleting it allows all to be retried."
    if not set_variable(KEY_VARIABLE, secrets.token_hex(32), description):
        return None
    # Not the one just created: another task may have created one at the same time.
    return get_variable(KEY_VARIABLE)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
