"""Whatever a directory's pages look like, in whatever order they arrive: complete, or known to be not."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cc.api.directory import Ask, Directory, UnreadableLine, only_line, pack, unpack
from airflow_provider_cc.api.management import DirectoryAgent, DirectoryPage
from airflow_provider_cc.exceptions import CCBusinessError, CCPermissionError, CCResponseError


class Center(NamedTuple):
    """A directory that does not change.

    :param lines: all lines
    :param longest: lines on the longest page
    :param cuts: whether longer ones are cut, and not refused
    :param first: number of the first page
    :param before: what comes for page 0 if pages count from 1
    :param total: what the total is
    :param beyond: whether pages beyond the last one are refused, and not empty
    """

    lines: list[DirectoryAgent]
    longest: int
    cuts: bool
    first: int
    before: str
    total: str
    beyond: bool

    def answer(self, ask: Ask) -> Any:
        if ask.account:
            return [line for line in self.lines if line.account == ask.account]
        refusal = CCBusinessError("agentAccount/query", "1", "no such page")
        if ask.size > self.longest and not self.cuts:
            raise refusal
        if ask.number < self.first and self.before == "refused":
            raise refusal
        size = min(ask.size, self.longest)
        start = max(0, ask.number - self.first) * size
        lines = self.lines[start : start + size]
        if ask.number < self.first and self.before == "empty":
            lines = []
        elif start >= len(self.lines) > 0 and self.beyond:
            raise refusal
        total = {"lines": len(self.lines), "page": len(lines), "zero": 0, "absent": None}[self.total]
        return DirectoryPage(total, lines, [])


def read(center: Any, directory: Directory, order: random.Random, width: int) -> list[DirectoryAgent]:
    """Read a directory, several requests at a time that are answered in any order."""
    found: list[Any] = []
    open_asks: list[Ask] = []
    for _ in range(10_000):
        while len(open_asks) < width and (ask := directory.next()) is not None:
            open_asks.append(ask)
        if not open_asks:
            return found
        ask = open_asks.pop(order.randrange(len(open_asks)))
        try:
            reply = center.answer(ask)
        except CCBusinessError as error:
            directory.refuse(ask, error)
            continue
        lines = directory.take(ask, reply)
        found += [*lines.new, *(line for line, _ in (*lines.changed, *lines.conflicting))]
    raise AssertionError("it never ends")


def agent(number: int, kind: int = 4) -> DirectoryAgent:
    return DirectoryAgent(f"agent{number}", number + 1, kind, str(number))


@st.composite
def centers(draw: st.DrawFn) -> Center:
    lines = [agent(number) for number in range(draw(st.integers(0, 90)))]
    for _ in range(draw(st.integers(0, 3)) if lines else 0):  # listed twice, perhaps with another value
        twin = draw(st.sampled_from(lines))
        kind = draw(st.sampled_from([twin.agent_type, 5, 11]))
        lines.insert(draw(st.integers(0, len(lines))), agent(int(twin.account[5:]), kind or 4))
    first = draw(st.sampled_from([0, 1]))
    return Center(
        lines,
        draw(st.integers(10, 40)),
        draw(st.booleans()),
        first,
        draw(st.sampled_from(["first", "empty", "refused"])),
        draw(st.sampled_from(["lines", "page", "zero", "absent"])),
        draw(st.booleans()),
    )


@settings(max_examples=600, deadline=None)
@given(centers(), st.integers(1, 12), st.integers(0, 2**16), st.sampled_from([20, 30, 100]))
def test_every_steady_directory_is_read_completely(
    center: Center, width: int, seed: int, page_size: int
) -> None:
    directory = Directory(page_size)
    try:
        found = read(center, directory, random.Random(seed), width)  # noqa: S311
    except CCBusinessError:
        # Then an empty page would have said that the last one was full: nobody can tell.
        assert center.beyond
        return
    directory.check()
    assert Counter(found) == Counter(set(center.lines))
    assert directory.duplicates == len(center.lines) - len(set(center.lines))


class Restless(NamedTuple):
    """A directory that may show its lines in another order each time."""

    lines: list[DirectoryAgent]
    order: random.Random
    total: bool

    def answer(self, ask: Ask) -> Any:
        if ask.account:
            return [line for line in self.lines if line.account == ask.account]
        lines = list(self.lines)
        self.order.shuffle(lines)
        start = ask.number * ask.size
        return DirectoryPage(len(lines) if self.total else None, lines[start : start + ask.size], [])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(0, 2**16), st.booleans(), st.integers(1, 12))
def test_a_restless_directory_is_never_short_and_green(
    count: int, seed: int, total: bool, width: int
) -> None:
    order = random.Random(seed)  # noqa: S311
    center = Restless([agent(number) for number in range(count)], order, total)
    directory = Directory(20)
    found = set(read(center, directory, order, width))
    missing = count - len(found)
    if missing or not total:
        with pytest.raises(CCResponseError) if missing else suppress(CCResponseError) as failure:
            directory.check()
        if missing and total:
            assert f"{missing} of {count} entries are missing" in str(failure.value)
    else:
        directory.check()


def test_an_interface_that_is_not_allowed_is_not_asked_for_shorter_pages() -> None:
    directory = Directory()
    ask = directory.next()
    assert ask is not None
    with pytest.raises(CCPermissionError):
        directory.refuse(ask, CCPermissionError("agentAccount/query", "HTTP 403"))


@pytest.mark.parametrize(
    "line",
    [
        DirectoryAgent("a", None, None, None),
        DirectoryAgent("a", 1, 255, "x"),
        UnreadableLine("a", CCResponseError("agentAccount/query", "unexpected_format", "workNo")),
    ],
)
def test_a_line_is_what_was_kept(line: Any) -> None:
    assert str(unpack("a", pack(line))) == str(line)


def test_lines_that_differ_are_ambiguous() -> None:
    assert only_line([agent(1), agent(1)]) == agent(1)
    with pytest.raises(CCResponseError, match="ambiguous: the directory lists the account 2 times"):
        only_line([agent(1), agent(1, 5)])
