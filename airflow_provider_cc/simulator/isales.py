"""CC-iSales: sign-in, refresh, and two business interfaces that need the token."""

from __future__ import annotations

import itertools
import secrets

from airflow_provider_cc.simulator.exchange import (
    BadField,
    Call,
    Refused,
    Reply,
    Route,
    http_failure,
    json_reply,
    text_field,
)
from airflow_provider_cc.simulator.site import Sessions, Site

BASE = "/rest/isales/v1/openapi/obs/"
_BEARER = "Bearer "
_LOGIN_FIELDS = frozenset({"user", "passwd"})
_REFRESH_FIELDS = frozenset({"refreshToken"})
_INTERFACE_FIELDS = frozenset({"version"})


class ISales:
    """The interfaces below https://<domain>/rest/isales/v1/openapi/obs."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tokens = Sessions()
        self._refresh_tokens = Sessions()
        self._task_numbers = itertools.count(1)

    def routes(self) -> dict[str, Route]:
        """Return the routes."""
        return {
            f"{BASE}auth/login": Route("auth/login", "POST", self._login),
            f"{BASE}auth/refresh": Route("auth/refresh", "POST", self._refresh),
            f"{BASE}business/tasks": Route("business/tasks", "POST", self._tasks),
            f"{BASE}business/interface": Route("business/interface", "POST", self._interface),
        }

    def expire_sessions(self) -> None:
        """End all tokens and refresh tokens."""
        self._tokens.clear()
        self._refresh_tokens.clear()

    def _login(self, call: Call) -> Reply:
        _check_content_type(call)
        fields = call.fields(_LOGIN_FIELDS)
        user, password = text_field(fields, "user", 256), text_field(fields, "passwd", 256)
        site, settings = self._site, self._site.settings
        accepted = (user, password) == (settings.isales_user, settings.isales_password)
        accepted = accepted and not site.refuses("isales")
        site.statistics.count_sign_in("isales", accepted=accepted)
        if not accepted:
            text = site.blame("user or password is wrong", f"{user}/{password}")
            if settings.refused_status == 200:
                return json_reply({"result": 1, "resultData": None, "message": text})
            return http_failure(settings.refused_status, text)
        return self._new_pair(call)

    def _refresh(self, call: Call) -> Reply:
        _check_content_type(call)
        token = text_field(call.fields(_REFRESH_FIELDS), "refreshToken", 256)
        header = call.headers.get("Authentication", "")
        if header != _BEARER + token or not self._refresh_tokens.valid(token, call.cookie):
            raise Refused(self._expired(header))
        # A refresh token works once, to detect clients that keep the old one.
        self._refresh_tokens.close(token)
        return self._new_pair(call)

    def _new_pair(self, call: Call) -> Reply:
        settings = self._site.settings
        token, refresh_token = (self._site.issue(secrets.token_urlsafe(24)) for _ in range(2))
        self._tokens.open(token, settings.isales_token_lifetime, call.cookie)
        self._refresh_tokens.open(refresh_token, settings.isales_refresh_lifetime, call.cookie)
        return json_reply(
            {
                "result": 0,
                "resultData": {
                    "token": token,
                    "tokenExpirationTime": settings.isales_token_lifetime,
                    "refreshToken": refresh_token,
                    "refreshExpirationTime": settings.isales_refresh_lifetime,
                },
            }
        )

    def _tasks(self, call: Call) -> Reply:
        self._check(call)
        call.fields()
        return json_reply({"result": 0, "resultData": {"taskId": str(next(self._task_numbers))}})

    def _interface(self, call: Call) -> Reply:
        self._check(call)
        version = text_field(call.fields(_INTERFACE_FIELDS), "version", 64)
        paths = {"refreshToken": "auth/refresh", "getTask": "business/tasks"}
        return json_reply({"result": "0", "resultData": {"version": version, **paths}})

    def _check(self, call: Call) -> None:
        _check_content_type(call)
        settings = self._site.settings
        header = call.headers.get(settings.isales_header, "")
        accepted = {"token": self._tokens, "refreshToken": self._refresh_tokens}[settings.isales_token_kind]
        if not header.startswith(_BEARER) or not accepted.valid(header[len(_BEARER) :], call.cookie):
            raise Refused(self._expired(header))

    def _expired(self, header: str) -> Reply:
        text = self._site.blame("the token is missing, wrong or expired", header)
        return http_failure(self._site.settings.expired_status, text)


def _check_content_type(call: Call) -> None:
    # The manual does not require the header, but defines its value.
    if call.content_type().partition(";")[0] not in ("", "application/json"):
        raise BadField("Content-Type is not application/json")
