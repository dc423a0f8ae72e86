"""The documentation's pages, and what stands in them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import CHECKOUT

PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^( *)```(\w+)?(?: (\w+))?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    :param page: where it stands
    :param line: of its fence
    :param language: first word after the fence
    :param mark: second word, which says how it is run
    :param code: what is in it
    """

    page: Path
    line: int
    language: str
    mark: str
    code: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    """Return a page's path in the checkout."""
    return str(page.relative_to(CHECKOUT))


def page(path: str) -> str:
    """Return the text of a page."""
    return (CHECKOUT / path).read_text()


def blocks(language: str, mark: str | None = None) -> list[Block]:
    """Return all blocks of a language, or those with a mark; ``""`` for those without one."""
    return [
        block
        for path in PAGES
        for block in _blocks(path)
        if block.language == language and mark in (None, block.mark)
    ]


def dag_bag(file: Path) -> Any:
    """Return what Airflow finds in a DAG file."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag
    return DagBag(file)


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for match in _FENCE.finditer(text):
        _, language, mark, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        yield Block(path, line, language or "", mark or "", textwrap.dedent(code))


def section(path: str, heading: str) -> str:
    """Return what stands below a heading, down to the next one of its rank or above."""
    rank = heading.index(" ")
    _, _, below = page(path).partition(f"\n{heading}\n")
    assert below, f"{path} has no {heading!r}"
    return re.split(rf"^#{{1,{rank}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables in a text: rows of cells, the head first."""
    found: list[list[list[str]]] = []
    for run in re.findall(r"(?:^ *\|.*\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in run.splitlines()]
        found.append([rows[0], *rows[2:]])
    return found


def code_words(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)
