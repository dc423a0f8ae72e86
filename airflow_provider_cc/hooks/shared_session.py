"""A session that other tasks and workers can reuse: encrypted, in an Airflow Variable."""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from dataclasses import replace

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.compat import get_variable, set_variable
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.session import lead

log = logging.getLogger(__name__)


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
