"""Replies that nobody thought of: what the manual says with something put wrong, and plain nonsense."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.api.test_replies import GOOD

#: Every character, also those that no text should hold: half a pair, an escape, an override.
CHARACTERS = st.one_of(
    st.characters(exclude_categories=()), st.sampled_from("\x00\x1b\r\n\x85\u2028\u202e\u200b\ufeff\ud800\"'")
)
TEXTS = st.text(CHARACTERS, max_size=80)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, float("inf"), float("nan")]),
)
PLAIN = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS, st.sampled_from(["", "0", "1", " 7 ", "٧", "1e5", "0" * 70])
)
#: What a field may hold instead of what it should.
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=5)),
    max_leaves=12,
)
CODES = st.sampled_from(["0", 0, "1", "100-004", "100-006", "107-000", "000-004", "105-002", -1, "00", "0 "])
STATUSES = st.one_of(
    st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 429, 500, 502, 503]),
    st.integers(100, 599),
)
#: Values that headers can carry, by what reads them.
HEADERS = st.dictionaries(
    st.sampled_from(["Set-GUID", "Guid", "Retry-After", "Content-Type", "content-encoding", "X-Other"]),
    st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60),
        st.sampled_from(
            [
                "JSESSIONID=",
                "JSESSIONID= two words; Path=/",
                "nan",
                "-1",
                "1e999",
                "Mon, 01 Jan 0001 00:00:00 -0000",
                "Fri, 31 Dec 9999 23:59:59 -2359",
                "Mon, 99 Foo 99999 99:99:99",
            ]
        ),
    ),
)


@st.composite
def nearly(draw: st.DrawFn, name: str) -> bytes:
    """Draw a good reply to a call, with one thing or more put wrong."""
    body: Any = json.loads(json.dumps(GOOD[name]))
    for _ in range(draw(st.integers(1, 3))):
        inside, key = draw(st.sampled_from(list(_places(body))))
        change = draw(st.sampled_from(["replace", "code", "remove", "add", "nest"]))
        if change == "replace":
            inside[key] = draw(VALUES)
        elif change == "code":
            inside[key] = draw(CODES)
        elif change == "remove":
            del inside[key]
        elif change == "add" and isinstance(inside, dict):
            inside[draw(TEXTS)] = draw(VALUES)
        elif change == "nest":
            inside[key] = {draw(st.sampled_from(["schema", "requestParams", "data", ""])): inside[key]}
        if not body:
            break
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    return _written(draw, text)


def _places(value: Any) -> Any:
    """Every place in a reply, as container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _written(draw: st.DrawFn, text: str) -> bytes:
    """Write a text, in the right charset or in a wrong one, perhaps doubled, cut or with a byte changed."""
    charset = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "gbk"]))
    body = text.encode(charset, "surrogatepass" if charset.startswith("utf") else "replace")
    match draw(st.sampled_from(["whole", "whole", "whole", "cut", "changed", "twice", "doubled keys"])):
        case "cut":
            return body[: draw(st.integers(0, len(body)))]
        case "changed" if body:
            place = draw(st.integers(0, len(body) - 1))
            return body[:place] + bytes([draw(st.integers(0, 255))]) + body[place + 1 :]
        case "twice":
            return body * 2
        case "doubled keys" if body.startswith(b"{") and body.endswith(b"}"):
            return body[:-1] + b"," + body[1:]
    return body


def bodies(name: str) -> st.SearchStrategy[bytes]:
    """Bodies of all kinds as the reply to a call."""
    anything = VALUES.map(lambda value: json.dumps(value).encode())
    return st.one_of(nearly(name), nearly(name), anything, st.binary(max_size=200))
