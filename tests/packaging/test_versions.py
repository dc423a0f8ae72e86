"""Every place that names the tested versions names the same ones, and results are read as they are."""

from __future__ import annotations

import re

import pytest

from scripts.matrix import LINES, PAGE, NoResult, Result, enter, read
from tests.conftest import CHECKOUT

AIRFLOWS = sorted({name.partition("-")[0] for name in LINES})
HEADER = "platform linux -- Python 3.13.0, pytest-9.1.1, pluggy-1.6.0\n"


def test_makefile_knows_the_same_airflows() -> None:
    (told,) = re.findall(r"^AIRFLOWS := (.+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)

    assert told.split() == AIRFLOWS


def test_there_are_pins_for_each() -> None:
    for airflow in AIRFLOWS:
        pins = (CHECKOUT / "requirements" / f"airflow-{airflow}.txt").read_text().splitlines()
        assert f"apache-airflow=={airflow}" in pins


@pytest.mark.parametrize("page", ["README.md", "docs/versions.md"])
def test_pages_name_the_same_airflows(page: str) -> None:
    *others, last = AIRFLOWS

    text = " ".join((CHECKOUT / page).read_text().split())
    assert re.search(
        f"(Tested with|tests) Airflow {re.escape(', '.join(others))} and {re.escape(last)}", text
    )


def test_workflow_runs_the_same_lines() -> None:
    workflow = (CHECKOUT / ".github" / "workflows" / "ci.yml").read_text()
    told = re.findall(r'\{ airflow: "(.+)", python: "(.+)" \}', workflow)

    assert [(airflow, python == "3.13") for airflow, python in told] == [
        (name.partition("-")[0], name.endswith("-py3.13")) for name in LINES
    ]


@pytest.mark.parametrize("name", LINES)
def test_page_has_a_row_for_each(name: str) -> None:
    page = enter(PAGE.read_text(), name, ["3.11.7", "1,234", "0", "0", "7 min 1 s", "2026-11-22"])

    row = f"| {name.partition('-')[0]} | 3.11.7 | 1,234 | 0 | 0 | 7 min 1 s | 2026-11-22 | `{name}` |"
    assert page.splitlines().count(row) == 1
    assert len(page.splitlines()) == len(PAGE.read_text().splitlines())


@pytest.mark.parametrize(
    ("closing", "counts"),
    [
        ("===== 12 passed in 421.95s (0:07:01) =====", (12, 0, 0, 421)),
        ("= 2 failed, 1200 passed, 4 skipped, 3 warnings, 1 error in 9.15s =", (1200, 4, 3, 9)),
        ("= 1 passed in 0.10s =\nwarnings\n= 5 passed, 2 errors in 1.00s =\nlogged later", (5, 0, 2, 1)),
    ],
)
def test_result_is_read_from_the_closing_line(closing: str, counts: tuple[int, int, int, int]) -> None:
    assert read(f"{HEADER}…\n{closing}\n") == Result("3.13.0", *counts)


def test_a_run_without_a_closing_line_has_no_result() -> None:
    with pytest.raises(NoResult):
        read(f"{HEADER}make: *** [test] Killed\n")
