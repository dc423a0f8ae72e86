"""Clean text from a contact center for log lines, exceptions and reject rows."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

#: Maximum length of a server text that is passed on, in characters.
MAX_TEXT = 500
#: Maximum length of a server text that is cleaned, in characters: cleaning takes time and memory.
_MOST_READ = 10_000
#: A text that contains a secret shorter than this is hidden completely, because gaps would reveal the secret.
_SHORT = 5
_HIDDEN = "***"


def clean(text: object, secrets: Iterable[str] = ()) -> str:
    """Remove control and format characters and secrets, and cut to :data:`MAX_TEXT` characters.

    A text that contains a secret of fewer than :data:`_SHORT` characters is hidden completely.

    :param text: the server's message; the result is empty if it is not a string
    :param secrets: every secret of the request, however short
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
        cleaned = cleaned[: -len(forms[0])]  # the end may be the beginning of a secret
    return cleaned[:MAX_TEXT]


def printable(text: str) -> str:
    """Replace line breaks and other whitespace by spaces, and remove characters that could forge log lines.

    Removes all characters of Unicode's categories C (control, format, surrogate, unassigned).

    :param text: any text
    """
    if text.isprintable():
        return text
    spaced = "".join(" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if unicodedata.category(char)[0] != "C")


def _forms(secret: str) -> set[str]:
    """Return the forms of a secret in an error text: plain, escaped for JSON, URL or HTML, and cleaned."""
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
