"""A session kept where other tasks and workers find it: encrypted, in an Airflow Variable."""

from __future__ import annotations

import base64
import hashlib
import logging
import time

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.hooks import variables
from airflow_provider_cc.hooks.sessions import lead

log = logging.getLogger(__name__)


class _Shared(msgspec.Struct):
    token: str
    lifetime: float | None
    expires_at: float | None
    refresh_token: str | None
    refresh_expires_at: float | None


class VariableStore:
    """Keeps a connection's session in the Variable ``cc_token__<conn_id>``.

    The key is derived from the connection's own secret, so the Variable is of no use to whoever lacks the
    connection, and a changed password makes the old session unreadable. Times are wall-clock ones, since
    machines share them. A store that fails is no reason for a task to fail: the session is then not shared.

    :param conn_id: connection id
    :param identity: the connection's host and login, so that a connection turned elsewhere starts anew
    :param secret: the connection's password
    """

    def __init__(self, conn_id: str, identity: str, secret: str) -> None:
        self._variable = f"cc_token__{conn_id}"
        salt = f"{conn_id}\n{identity}".encode()
        # Slow on purpose, as the password may be short: about 50 ms, once in a task.
        key = hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    def load(self) -> Session | None:
        """Return the shared session, if there is one that can be read and still lives."""
        stored = variables.read(self._variable)
        if stored is None:
            return None
        try:
            shared = msgspec.json.decode(self._cipher.decrypt(stored.encode()), type=_Shared)
        except (InvalidToken, msgspec.MsgspecError, ValueError, TypeError):
            log.info("Variable %s holds no session of this connection: signing in.", self._variable)
            return None
        left = _left(shared.expires_at)
        # Of the whole lifetime: of what is left, it would shrink with every look, down to nothing.
        if left is not None and left <= lead(shared.lifetime or 0.0):
            return None
        return Session(shared.token, left, shared.refresh_token, _left(shared.refresh_expires_at))

    def save(self, session: Session) -> None:
        """Share a session.

        :param session: what a sign-in has just yielded
        """
        shared = _Shared(
            session.token,
            session.lifetime,
            _until(session.lifetime),
            session.refresh_token,
            _until(session.refresh_lifetime),
        )
        sealed = self._cipher.encrypt(msgspec.json.encode(shared)).decode()
        variables.write(
            self._variable, sealed, "A session that tasks share, sealed with the connection's secret."
        )


def _until(lifetime: float | None) -> float | None:
    return None if lifetime is None else time.time() + lifetime


def _left(moment: float | None) -> float | None:
    return None if moment is None else moment - time.time()
