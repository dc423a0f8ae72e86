"""A session that other tasks and workers can reuse: encrypted, in an Airflow Variable."""

from __future__ import annotations

import base64
import hashlib
import logging
import time

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.compat import get_variable, set_variable
from airflow_provider_cc.hooks.session import lead

log = logging.getLogger(__name__)


class _Shared(msgspec.Struct):
    token: str
    lifetime: float | None
    expires_at: float | None
    refresh_token: str | None
    refresh_expires_at: float | None


class SharedSession:
    """Keeps a connection's session in the Variable ``cc_token__<conn_id>``.

    The key is derived from the connection's own secret, so the Variable is useless without the connection,
    and a changed password makes the old session unreadable. Times are wall-clock times, since machines share
    them. If Variables are unavailable, the session is not shared.

    :param conn_id: connection id
    :param identity: the connection's host and login, so that a connection to another system starts anew
    :param secret: the connection's password
    """

    def __init__(self, conn_id: str, identity: str, secret: str) -> None:
        self._variable = f"cc_token__{conn_id}"
        salt = f"{conn_id}\n{identity}".encode()
        # Slow on purpose, as the password may be short: about 50 ms, once in a task.
        key = hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
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
        left = _left(shared.expires_at)
        # The lead of the whole lifetime: that of what is left would shrink with every load, down to nothing.
        if left is not None and left <= lead(shared.lifetime or 0.0):
            return None
        return Session(shared.token, left, shared.refresh_token, _left(shared.refresh_expires_at))

    def save(self, session: Session) -> None:
        """Share a session.

        :param session: what a sign-in has just returned
        """
        shared = _Shared(
            session.token,
            session.lifetime,
            _until(session.lifetime),
            session.refresh_token,
            _until(session.refresh_lifetime),
        )
        encrypted = self._cipher.encrypt(msgspec.json.encode(shared)).decode()
        description = "Session shared by tasks, encrypted with the connection's secret."
        set_variable(self._variable, encrypted, description)


def _until(lifetime: float | None) -> float | None:
    return None if lifetime is None else time.time() + lifetime


def _left(moment: float | None) -> float | None:
    return None if moment is None else moment - time.time()
