"""The publishable part of a reply: status, size, and keys and types of JSON, but no values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from airflow_provider_cc.api.protocol import WRAPPERS, Call, Reply

#: Maximum number of items read from a list; a page of the directory has no more.
_MOST_ITEMS = 100
#: An object with more keys than this is a mapping whose keys are values.
_MOST_KEYS = 40
_KEY = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
_TYPES = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}


@dataclass(frozen=True)
class RecordedReply:
    """A reply without its values.

    :param endpoint: the manual's name of the interface
    :param method: HTTP method
    :param status: HTTP status
    :param kind: "JSON", "HTML", "empty" or "other"
    :param size: bytes of the body
    :param keys: dotted path of each key → its JSON type or types
    :param wrapper: field of the manual's tables that the reply is nested in; "" if flat
    :param ahead: seconds by which its ``Date`` is ahead of this machine's clock; ``None`` without a ``Date``
    """

    endpoint: str
    method: str
    status: int
    kind: str
    size: int
    keys: dict[str, str]
    wrapper: str
    ahead: float | None


def record(call: Call[Any], reply: Reply, now: float) -> RecordedReply:
    """Return the publishable part of a reply.

    :param call: the call
    :param reply: its reply
    :param now: this machine's time half-way through the call, in seconds since 1970
    """
    types: dict[str, set[str]] = {}
    body = reply.body.removeprefix(b"\xef\xbb\xbf")
    for path, kind in _walk(body, ""):
        types.setdefault(path, set()).add(kind)
    keys = {path: "/".join(sorted(kinds)) for path, kinds in types.items()}
    wrapper = next((name for name in WRAPPERS if keys.get(name) == "object"), "")
    if wrapper:
        keys = {path.removeprefix(f"{wrapper}."): kind for path, kind in keys.items() if path != wrapper}
    return RecordedReply(
        call.endpoint.name,
        call.endpoint.method,
        reply.status,
        _kind(body, bool(keys)),
        len(reply.body),
        keys,
        wrapper,
        _ahead(reply.headers.get("Date"), now),
    )


def _kind(body: bytes, has_keys: bool) -> str:
    text = body.strip()
    if not text:
        return "empty"
    if has_keys or text == b"{}":
        return "JSON"
    return "HTML" if text[:1] == b"<" else "other"


def _walk(body: bytes, path: str) -> Iterator[tuple[str, str]]:
    """Return path and type of each key, without decoding other values."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return
    if len(fields) > _MOST_KEYS:
        yield f"{path}<{len(fields)} keys>", "any"
        return
    for key, raw in fields.items():
        shown = key if _KEY.fullmatch(key) else f"<key of {len(key)} characters>"
        yield from _value(bytes(raw), path + shown)


def _value(raw: bytes, path: str) -> Iterator[tuple[str, str]]:
    kind = _TYPES.get(raw[:1].decode(errors="replace"), "number")
    yield path, kind
    if kind == "object":
        yield from _walk(raw, f"{path}.")
    elif kind == "array":
        for item in msgspec.json.decode(raw, type=list[msgspec.Raw])[:_MOST_ITEMS]:
            text = bytes(item)
            if text[:1] == b"{":
                yield from _walk(text, f"{path}[].")
            else:
                yield from _value(text, f"{path}[]")


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None
