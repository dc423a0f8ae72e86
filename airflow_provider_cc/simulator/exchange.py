"""Requests, replies, and checks of request fields."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

JSON_TYPE = "application/json;charset=UTF-8"


class Call:
    """One request.

    :param method: HTTP method
    :param path: path as sent, not decoded, without the query
    :param headers: request headers; names are case-insensitive
    :param body: request body
    :param cookie: value of the sticky cookie; "" without one
    """

    __slots__ = ("account", "body", "cookie", "headers", "method", "path")

    def __init__(self, method: str, path: str, headers: Mapping[str, str], body: bytes, cookie: str) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.cookie = cookie
        #: The queried account, set after authentication.
        self.account: str | None = None

    def content_type(self) -> str:
        """Return the Content-Type without spaces and in lower case; "" if missing."""
        return self.headers.get("Content-Type", "").replace(" ", "").lower()

    def fields(self, allowed: frozenset[str] | None = None) -> dict[str, Any]:
        """Decode the JSON object in the body.

        :param allowed: allowed field names; None for any
        """
        try:
            fields = json.loads(self.body)
        except ValueError:
            raise BadField("the body is not JSON") from None
        if not isinstance(fields, dict):
            raise BadField("the body is not a JSON object")
        if allowed is not None and not allowed.issuperset(fields):
            raise BadField(f"unknown field {sorted(fields.keys() - allowed)[0]!r}")
        return fields


class Reply:
    """One reply.

    :param status: HTTP status
    :param body: reply body
    :param headers: additional headers
    :param content_type: Content-Type of the body
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        content_type: str = JSON_TYPE,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.content_type = content_type


class Route(NamedTuple):
    """Handler of a path.

    :param endpoint: name in statistics and faults
    :param method: the HTTP method of the interface
    :param handle: function that returns the reply, or an awaitable
    """

    endpoint: str
    method: str
    handle: Callable[[Call], Reply | Awaitable[Reply]]


class Refused(Exception):
    """Ends the handling of a request with a reply, usually a rejection."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class BadField(Exception):
    """A request field is missing, of the wrong type, too long or out of range."""


def json_reply(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status, encode(payload), headers)


def http_failure(status: int, text: str) -> Reply:
    """Return an HTTP error with a JSON body. The manual does not document these bodies."""
    return json_reply({"error_code": str(status), "error_msg": text}, status)


def encode(payload: Any) -> bytes:
    """Encode JSON as the contact center does."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def text_field(fields: Mapping[str, Any], name: str, longest: int, *, may_be_empty: bool = False) -> str:
    """Read a mandatory string of at most `longest` characters, non-empty unless it may be empty."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadField(f"{name} is missing" if name not in fields else f"{name} is not a string")
    if not value and not may_be_empty:
        raise BadField(f"{name} is empty")
    if len(value) > longest:
        raise BadField(f"{name} is longer than {longest} characters")
    return value


def integer_field(fields: Mapping[str, Any], name: str, lowest: int, highest: int) -> int:
    """Read a mandatory integer within limits."""
    value = fields.get(name)
    # In Python, True is an integer; in JSON it is not.
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadField(f"{name} is missing" if name not in fields else f"{name} is not an integer")
    if not lowest <= value <= highest:
        raise BadField(f"{name} is not between {lowest} and {highest}")
    return value
