"""Text that a contact centre sent, made fit for a log line, an exception or a reject row."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

#: Longest server text that is passed on, in characters.
MAX_TEXT = 500
#: Of a longer one, no more than this is looked at: cleaning takes time and memory.
_MOST_READ = 10_000
#: A secret shorter than this, in characters, is not cut out of a text: the gaps would tell what it is.
_SHORT = 5
_HIDDEN = "***"


def clean(text: object, secrets: Iterable[str] = ()) -> str:
    """Strip control and format characters, take out secrets, cut to :data:`MAX_TEXT` characters.

    A text that repeats a secret of less than :data:`_SHORT` characters is hidden whole.

    :param text: what the server sent as a message; anything but a string yields an empty string
    :param secrets: every secret of the request that this text answers, however short
    """
    if not isinstance(text, str):
        return ""
    cleaned = printable(text[:_MOST_READ])
    # The longest first: a secret may contain another one.
    forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    if any(form in cleaned for form in forms if len(form) < _SHORT):
        return _HIDDEN
    for form in forms:
        cleaned = cleaned.replace(form, _HIDDEN)
    if forms and len(text) > _MOST_READ:
        cleaned = cleaned[: -len(forms[0])]  # there may be the beginning of a secret
    return cleaned[:MAX_TEXT]


def printable(text: str) -> str:
    """Turn line breaks and all kinds of blanks into spaces, drop what could forge a log line or hide text.

    Dropped is every character of Unicode's categories C (control, format, surrogate, unassigned).

    :param text: any text
    """
    if text.isprintable():
        return text
    spaced = "".join(" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if unicodedata.category(char)[0] != "C")


def _forms(secret: str) -> set[str]:
    """How a secret may look inside an error text: as it is, escaped for JSON, URL or HTML, cleaned."""
    forms = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        html.escape(secret, quote=False),
    }
    return {form for plain in forms for form in (plain, printable(plain)) if form}
