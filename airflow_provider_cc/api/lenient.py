"""Lenient JSON decoder: reads replies that a strict decoder rejects, and drops their passwords."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Mapping
from email.message import Message
from functools import lru_cache
from typing import Any

from airflow_provider_cc.api.text import clean
from airflow_provider_cc.exceptions import CCResponseError, ErrorCode

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

#: Largest body that is read, in bytes, compressed or not; no reply of the manual comes near it.
MAX_BODY = 16 * 1024 * 1024
#: Most members of a gzip body, each of which costs more time than its bytes.
_MAX_MEMBERS = 1000
_PIECE = 65536


def decompress(endpoint: str, body: bytes, encoding: str | None) -> bytes:
    """Return a body without its compression, in bounded memory: 64 KiB can decompress to any size.

    :param endpoint: for exceptions
    :param body: as it came over the wire
    :param encoding: the reply's ``Content-Encoding``; an unknown one counts as none if the body is JSON
    :raises CCResponseError: too long, incomplete, or compressed in an unknown way
    """
    encoding = (encoding or "").strip().lower()
    if len(body) > MAX_BODY:
        raise _too_long(endpoint)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _decompressed(endpoint, body, encoding)
    # Some servers send "UTF-8" or another word that is no compression: then the body is JSON as it is.
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if encoding not in ("", "identity") and start not in (b"", b"{", b"["):
        raise _not_readable(endpoint, f"Content-Encoding {clean(encoding)!r} is not supported")
    return body


def _decompressed(endpoint: str, body: bytes, encoding: str) -> bytes:
    # Some servers leave out the header of "deflate".
    is_raw = encoding == "deflate" and body != b"" and body[0] & 0x0F != zlib.DEFLATED
    window = -zlib.MAX_WBITS if is_raw else 32 + zlib.MAX_WBITS  # 32: gzip's header or zlib's
    plain, at, members, member = bytearray(), 0, 0, None
    while at < len(body):
        if member is None or (member.eof and body[at] == 0x1F):  # the first byte of gzip's header
            member, members = zlib.decompressobj(window), members + 1
        elif member.eof:
            break  # padding, as curl and requests see it
        if members > _MAX_MEMBERS:
            raise _not_readable(endpoint, "the reply cannot be decompressed (too many gzip members)")
        piece = body[at : at + _PIECE]
        try:
            # One byte more than there is room for shows that it is too long.
            plain += member.decompress(piece, MAX_BODY + 1 - len(plain))
        except zlib.error as error:
            reason = clean(str(error))
            raise _not_readable(endpoint, f"the reply cannot be decompressed ({reason})") from None
        if len(plain) > MAX_BODY:
            raise _too_long(endpoint)
        at += len(piece) - len(member.unused_data)
    if member is not None and not member.eof:
        raise _not_readable(endpoint, "the compressed reply is incomplete")
    return bytes(plain)


def _too_long(endpoint: str) -> CCResponseError:
    return CCResponseError(endpoint, ErrorCode.TOO_LONG, f"the reply is longer than {MAX_BODY} bytes")


def _not_readable(endpoint: str, why: str) -> CCResponseError:
    return CCResponseError(endpoint, ErrorCode.NOT_READABLE, why)


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


@lru_cache(16)
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
