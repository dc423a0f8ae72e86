"""Shared code of the sign-in operators."""

from __future__ import annotations

from typing import Any

import pendulum

from airflow_provider_cc.hooks.base import CCHook


def session_row(hook: CCHook) -> dict[str, Any]:
    """Sign in and describe the session without showing it.

    :param hook: the hook that signs in
    :return: ``conn_id``, ``signed_in_at``, ``expires_at`` (ISO 8601, UTC; ``None`` if unknown) and
        ``shared``: whether other tasks can use the session
    :raises CCAuthError: the credential is rejected
    """
    begun = pendulum.now("UTC")
    lifetime = hook.sessions.sign_in().session.lifetime
    return {
        "conn_id": hook.settings.conn_id,
        "signed_in_at": begun.isoformat(),
        "expires_at": None if lifetime is None else begun.add(seconds=lifetime).isoformat(),
        "shared": hook.settings.share_session,
    }
