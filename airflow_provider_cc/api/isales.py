"""CC-iSales: the pair of tokens, and the headers that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_provider_cc.api.protocol import (
    Call,
    Code,
    Endpoint,
    Session,
    any_call,
    lifetime_of,
    session_value,
    text_argument,
    zero_or_refused,
)

#: Common path of all interfaces.
ROOT = "/rest/isales/v1/openapi/obs/"


class _Tokens(msgspec.Struct):
    token: Any = None
    tokenExpirationTime: Any = None
    refreshToken: Any = None
    refreshExpirationTime: Any = None


class _TokensReply(msgspec.Struct):
    code: Code = msgspec.field(name="result")
    resultData: _Tokens | None = None


_CODES = ("result", "resultCode", "returnCode")
LOGIN = Endpoint(
    "auth/login", "POST", ROOT + "auth/login", _TokensReply, _CODES, zero_or_refused, signs_in=True
)
REFRESH = Endpoint(
    "auth/refresh", "POST", ROOT + "auth/refresh", _TokensReply, _CODES, zero_or_refused, signs_in=True
)


def headers(bearer: str | None = None, name: str = "Authentication") -> dict[str, str]:
    """Return the headers of a call.

    :param bearer: token or refreshToken; the manual's pages disagree
    :param name: ``Authentication`` or ``Authorization``; the manual's pages disagree
    """
    kind = {"Content-Type": "application/json"}
    return {**kind, name: f"Bearer {bearer}"} if bearer else kind


def login(user: str, passwd: str) -> Call[Session]:
    """Sign in ("Authentication Interface").

    :param user: user name
    :param passwd: the user's password
    :raises ValueError: an argument is empty
    """
    body = {"user": text_argument("user", user, 1024), "passwd": text_argument("passwd", passwd, 1024)}
    return Call(LOGIN, msgspec.json.encode(body), _read_tokens, LOGIN.path, secrets=(passwd,))


def refresh(refresh_token: str) -> Call[Session]:
    """Get a new pair of tokens with the refreshToken.

    :param refresh_token: refreshToken of the current pair
    """
    body = msgspec.json.encode({"refreshToken": refresh_token})
    signed = headers(refresh_token)
    return Call(REFRESH, body, _read_tokens, REFRESH.path, signed, secrets=(refresh_token,))


def _read_tokens(reply: _TokensReply, headers: Mapping[str, str]) -> Session:
    data = reply.resultData or _Tokens()
    return Session(
        session_value(LOGIN.name, "token", data.token),
        lifetime_of(data.tokenExpirationTime),
        session_value(LOGIN.name, "refreshToken", data.refreshToken) if data.refreshToken else None,
        lifetime_of(data.refreshExpirationTime),
    )


def any_isales_call(method: str, path: str, json: Any = None) -> Call[dict[str, Any]]:
    """Call an interface that has no function of its own.

    See :func:`airflow_provider_cc.api.protocol.any_call`.

    :param method: HTTP method
    :param path: path below ``/rest/isales/v1/openapi/obs/``, e.g. ``business/tasks``
    :param json: the body
    """
    return any_call(method, path, json, ROOT + path.lstrip("/"))
