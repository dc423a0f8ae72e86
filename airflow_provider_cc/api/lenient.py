"""Lenient JSON decoder: reads replies that a strict decoder rejects, and drops their passwords."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from email.message import Message
from typing import Any

#: Reply fields with passwords, in lower case. No caller needs them, so they are dropped while decoding.
DROPPED_FIELDS = frozenset({"password", "passwd", "sippwd", "agentpwd"})
#: Replaces each character that cannot be read; a field that contains it has no reliable value.
REPLACEMENT = "\ufffd"
#: Servers that declare an older charset send characters of the newest one.
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030"}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
#: A complete escaped pair, half a pair (escaped or not), or any other escape, which is skipped as a whole.
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}|[\ud800-\udfff])|\\.",
    re.DOTALL,
)


def is_utf8(headers: Mapping[str, str]) -> bool:
    """Return whether a reply is UTF-8, which is the default if no charset is declared.

    GBK text can be valid UTF-8 by accident, so a strict decoder cannot tell them apart.

    :param headers: the reply's headers
    """
    content_type = headers.get("Content-Type")
    return content_type is None or _charset(content_type) == "utf-8"


def loads(body: bytes, content_type: str | None) -> Any:
    """Decode JSON leniently.

    Accepts other charsets, a byte order mark, undecodable bytes, lone surrogates, raw control characters, NaN
    and Infinity. The last of duplicate keys counts. Passwords are dropped.

    :param body: the body
    :param content_type: the reply's ``Content-Type``; an unknown charset counts as UTF-8
    :return: the value; unreadable characters are replaced by :data:`REPLACEMENT`
    :raises ValueError: not JSON, nested too deeply, or an integer with too many digits; the text contains no
        value
    """
    try:
        # Not strict: strings may contain control characters.
        return json.loads(_text(body, content_type), strict=False, object_hook=_without_passwords)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        reason = "an integer has too many digits"
    # Raised here, because json's exception contains the whole document and must not be the context.
    raise ValueError(reason)


def _charset(content_type: str) -> str:
    """Return the codec of the declared charset; UTF-8 if none is declared or it is unknown."""
    if "charset" not in content_type.lower():
        return "utf-8"
    header = Message()
    header["Content-Type"] = content_type
    try:
        name = codecs.lookup(str(header.get_content_charset("utf-8"))).name
    except (LookupError, ValueError):
        return "utf-8"
    return _SUPERSETS.get(name, name)


def _text(body: bytes, content_type: str | None) -> str:
    # A byte order mark, or the zero bytes of UTF-16 and UTF-32, take precedence over the declared charset.
    charset: str = json.detect_encoding(body)
    if charset == "utf-8" and content_type:
        charset = _charset(content_type)
    try:
        text = body.decode(charset, "replace")
    except (LookupError, ValueError):  # not a text codec, or one that cannot replace characters
        text = body.decode("utf-8", "replace")
    if _SURROGATE.search(text):
        text = _ESCAPES.sub(lambda found: REPLACEMENT if found[1] else found[0], text)
    return text.removeprefix("\ufeff")


def _without_passwords(fields: dict[str, Any]) -> dict[str, Any]:
    for name in [name for name in fields if name.lower() in DROPPED_FIELDS]:
        del fields[name]
    return fields
