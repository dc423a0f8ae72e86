"""Every code that the package can produce is on the page that says what to do about it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from airflow_provider_cc.api import management
from airflow_provider_cc.api.protocol import STATUS_TEXT
from airflow_provider_cc.exceptions import CCError, CCTransientError
from tests.api.support import answer
from tests.conftest import CHECKOUT
from tests.docs.pages import code_words, name, section, tables

PACKAGE = CHECKOUT / "airflow_provider_cc"
#: Which argument is the code.
CODE_OF = {
    "CCAuthError": 1,
    "CCBusinessError": 1,
    "CCResponseError": 1,
    "CCSessionLapsed": 1,
    "CCSignInUnavailable": 1,
    "CCTransientError": 1,
    "Reject": 2,
}
#: Where a code is passed on that came from elsewhere: the contact centre, or another of these exceptions.
PASSED_ON = {"clean", "code", "error"}


def produced() -> Iterator[tuple[str, str]]:
    """Yield every code that stands in the source, and where."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = getattr(node, "func", None)
            place = CODE_OF.get(getattr(called, "id", ""))
            if isinstance(node, ast.Call) and place is not None and len(node.args) > place:
                yield from _codes(node.args[place], f"{name(path)}:{node.lineno}")


def _codes(argument: ast.expr, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(argument, ast.Constant):
        yield argument.value, where
    elif isinstance(argument, ast.IfExp):
        yield from _codes(argument.body, where)
        yield from _codes(argument.orelse, where)
    elif isinstance(argument, ast.Name | ast.Attribute) and _last(argument).isupper():
        yield _constant(_last(argument)), where
    else:
        first = argument.func if isinstance(argument, ast.Call) else argument
        names = {node.id for node in ast.walk(first) if isinstance(node, ast.Name)}
        assert names & PASSED_ON or _last(first) == "code", f"{where}: what code is {ast.unparse(argument)}?"


def _last(expression: ast.expr) -> str:
    return expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")


def _constant(called: str) -> str:
    """Return the value of a constant of the package."""
    found = {
        value
        for path in PACKAGE.rglob("*.py")
        for value in re.findall(rf'^{called}(?:: \w+)? = "([^"]+)"', path.read_text(), re.MULTILINE)
    }
    assert len(found) == 1, f"{called}: {found}"
    return found.pop()


def told(heading: str) -> set[str]:
    table = tables(section("docs/troubleshooting.md", heading))[0]
    return {word for row in table[1:] for word in code_words(row[0])}


def test_every_word_of_the_provider_is_explained() -> None:
    words = {code: where for code, where in produced()}

    assert management.NO_AGENT in words
    assert {"dns", "tls", "timeout", "no_password"} <= words.keys()
    assert words.keys() - told("## Codes") == set(), f"not in docs/troubleshooting.md: {words}"
    assert told("## Codes") - words.keys() == set()


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
