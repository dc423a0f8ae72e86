"""Every code that the package can produce is on the page that says what to do about it."""

from __future__ import annotations

import pytest

from airflow_provider_cc.api.protocol import STATUS_TEXT
from airflow_provider_cc.exceptions import CCError, CCTransientError, ErrorCode
from tests.api.support import answer
from tests.docs.pages import code_words, section, tables


def told(heading: str) -> set[str]:
    table = tables(section("docs/troubleshooting.md", heading))[0]
    return {word for row in table[1:] for word in code_words(row[0])}


def test_every_code_of_the_provider_is_explained() -> None:
    assert told("## Codes") == set(ErrorCode)


def test_every_status_is_explained() -> None:
    table = tables(section("docs/troubleshooting.md", "## HTTP status"))[0]
    explained = {code_words(row[0])[0]: code_words(row[1])[0] for row in table[1:]}

    for status in (301, *range(400, 600)):
        with pytest.raises(CCError) as raised:
            answer("queryAgentInfoByAccount", "", status)
        error = raised.value
        kind = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in explained.values())
        row = f"HTTP {status}" if f"HTTP {status}" in explained else "HTTP …"
        assert explained["HTTP 3…" if status < 400 else row] == kind, status
        if isinstance(error, CCTransientError) or status in STATUS_TEXT:
            assert f"HTTP {status}" in explained
