"""Credentials at rest: what the contact centre refused is not sent again for a day, lest it lock accounts."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from airflow_provider_cc.api.protocol import STATUS_TEXT
from airflow_provider_cc.api.text import printable
from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError
from airflow_provider_cc.hooks import variables

log = logging.getLogger(__name__)

#: How long a refused credential rests, unless it is changed.
REST = timedelta(hours=24)
#: The code of what is declined here, without asking the contact centre.
AT_REST = "at_rest"
#: Holds the key of all fingerprints. For its name's sake Airflow shows its value nowhere.
KEY_VARIABLE = "cc_refused_secret"

Refusal = TypeVar("Refusal", CCAuthError, CCBusinessError)


class _Mark(msgspec.Struct):
    fingerprint: str
    since: datetime
    endpoint: str
    code: str


class Quarantine:
    """Keeps one credential from being sent again after it was refused, by whatever task, run or test.

    The mark is an Airflow Variable, and so seen by all workers: a keyed fingerprint of the credential, when
    and how it was refused. It holds for that very credential, whichever connection it is in: the test of a
    connection in the UI runs under an id of its own. Where Variables cannot be had, nothing rests.

    :param kind: what signs in: the connection type
    :param address: where
    :param login: who
    :param credential: the password, and all that a sign-in's success also depends on
    """

    def __init__(self, kind: str, address: str, login: str, *credential: str) -> None:
        self._who = (kind, address, login)
        self._credential = credential
        # A secrets backend is asked for it first, and not every one takes other characters than these.
        self._variable = f"cc_refused__{hashlib.sha256(msgspec.json.encode(self._who)).hexdigest()[:16]}"

    def check(self, refusal: type[Refusal]) -> None:
        """Insist that the credential is not at rest.

        :param refusal: what to raise if it is
        """
        mark = self._mark()
        if mark is None or not rests(mark.since, _now()):
            return
        key = variables.read(KEY_VARIABLE)
        if key is None or mark.fingerprint != self._fingerprint(key):
            return
        lift = f"airflow variables delete {self._variable}"
        raise refusal(printable(mark.endpoint), AT_REST, sentence(printable(mark.code), mark.since, lift))

    def add(self, error: CCAuthError | CCBusinessError) -> None:
        """Put the credential to rest.

        :param error: how it was refused
        """
        key = fingerprint_key()
        if key is None:
            return
        now = _now()
        mark = _Mark(self._fingerprint(key), now, error.endpoint, error.code)
        kind, address, _ = self._who
        description = f"A refused sign-in ({kind}, {address}). It is not tried again while this is here."
        if variables.write(self._variable, msgspec.json.encode(mark).decode(), description):
            log.warning(
                "The credential rests until %s: no task, run or test sends it again. To end that sooner, "
                "correct the credential or run: airflow variables delete %s",
                _shown(now + REST),
                self._variable,
            )

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let a sign-in happen unless the credential is at rest, and put it to rest if it is refused.

        :raises CCAuthError: at rest, or refused
        """
        self.check(CCAuthError)
        try:
            yield
        except CCAuthError as error:
            self.add(error)
            raise

    def _mark(self) -> _Mark | None:
        stored = variables.read(self._variable)
        if stored is None:
            return None
        try:
            mark = msgspec.json.decode(stored, type=_Mark)
            return mark if mark.since.tzinfo is not None else None
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            log.warning("Variable %s holds no mark of a refused credential: not heeded.", self._variable)
            return None

    def _fingerprint(self, key: str) -> str:
        return fingerprint(key, *self._who, *self._credential)


def rests(since: datetime, now: datetime) -> bool:
    """Whether what was refused then still rests.

    A moment that is yet to come, by a clock that was set back, counts as well, but not one more than a day
    ahead: so nothing rests for more than two.

    :param since: when it was refused
    :param now: by the same clock
    """
    return abs(now - since) < REST


def sentence(code: str, since: datetime, lift: str) -> str:
    """Say what happened, since when, and what to do.

    :param code: the code of the refusal
    :param since: when it was
    :param lift: the command that ends the rest
    """
    meaning = STATUS_TEXT.get(int(code[5:])) if re.fullmatch(r"HTTP \d{3}", code) else None
    how = f"{code}, {meaning}" if meaning else code
    return (
        f"refused at {_shown(since)} ({how}). It is not sent again before {_shown(since + REST)}, lest the "
        f"account is locked. Correct it, and it is sent at once. If the cause was another and is gone: {lift}"
    )


def fingerprint(key: str, *parts: str) -> str:
    """Return what tells a credential from another one, and nothing else to whoever lacks the key.

    :param key: from :func:`fingerprint_key`
    :param parts: the credential, and what it is for
    """
    return hmac.new(key.encode(), msgspec.json.encode(parts), hashlib.sha256).hexdigest()


def fingerprint_key() -> str | None:
    """Return the key of all fingerprints, made when first needed; ``None`` where Variables cannot be had."""
    if key := variables.read(KEY_VARIABLE):
        return key
    description = (
        "Key to the fingerprints of refused credentials. To delete it lets all of them be tried again."
    )
    if not variables.write(KEY_VARIABLE, secrets.token_hex(32), description):
        return None
    # Not the one just made: another task may have made one at the same time.
    return variables.read(KEY_VARIABLE)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
