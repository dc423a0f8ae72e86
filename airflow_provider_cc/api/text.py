"""Text that a contact centre sent, made fit for a log line, an exception or a reject row."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

#: Longest server text that is passed on, in characters.
MAX_TEXT = 500


def clean(text: object, secrets: Iterable[str] = ()) -> str:
    """Strip control and format characters, take out secrets, cut to :data:`MAX_TEXT` characters.

    :param text: what the server sent as a message; anything but a string yields an empty string
    :param secrets: every secret of the request that this text answers, however short
    """
    if not isinstance(text, str):
        return ""
    cleaned = printable(text)
    # The longest first: a secret may contain another one.
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        cleaned = cleaned.replace(form, "***")
    return cleaned[:MAX_TEXT]


def printable(text: str) -> str:
    """Turn line breaks into spaces and drop what could forge a log line or hide text.

    That is every character of Unicode's categories C (control, format, surrogate, unassigned) and the
    line and paragraph separators.

    :param text: any text
    """
    if text.isascii() and text.isprintable():
        return text
    spaced = "".join(" " if char in "\t\n\r\x0b\x0c\x85\u2028\u2029" else char for char in text)
    return "".join(char for char in spaced if unicodedata.category(char)[0] != "C")


def _forms(secret: str) -> set[str]:
    """How a secret may look inside an error text: as it is, JSON-escaped, URL-encoded, cleaned."""
    escaped = json.dumps(secret)[1:-1]
    forms = {
        secret,
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }
    return {form for plain in forms for form in (plain, printable(plain)) if form}
