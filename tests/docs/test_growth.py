"""The numbers of docs/growth.md follow from what was measured, by the formulas that stand there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.growth import HOUR, VENDOR_RATE, Figures, at_latency, at_vendor_rate, limits, projection
from tests.docs.pages import page, section, tables

FIGURES = Figures(
    rate=1_000,
    concurrency=64,
    prepare=5e-6,
    apply=10e-6,
    directory=40e-6,
    pages=32,
    written=(1_000, 500),
    rows=(4, 3),
    staged=400,
    metadata=(8, {3: 28, 6: 43}),
)


@pytest.mark.parametrize(
    ("accounts", "shards", "read"),
    [(4_000, 1, 4), (1_800_000, 1, 1_800), (1_800_001, 2, 900), (10_000_000, 6, 1_667)],
)
def test_shards_read_all_in_half_an_hour(accounts: int, shards: int, read: float) -> None:
    plan = at_latency(accounts, FIGURES)

    assert (plan.shards, plan.in_flight) == (shards, shards * 64)
    assert plan.seconds["read"] == pytest.approx(read, abs=1)


def test_more_shards_are_not_faster_than_the_contact_center() -> None:
    assert at_latency(100_000_000, FIGURES).rate == VENDOR_RATE
    assert at_vendor_rate(1_000_000, FIGURES).shards == 8
    assert at_vendor_rate(10_000, FIGURES).shards == 2, "5,000 accounts are the fewest in a shard"


def test_one_task_prepares_nothing() -> None:
    assert at_latency(100_000, FIGURES).seconds["prepare"] == 0
    assert at_latency(10_000_000, FIGURES).seconds["prepare"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("accounts", "figures", "part"),
    [
        (9_000_000, FIGURES, "the workers' rate"),
        (20_000_000, FIGURES, "the contact center"),
        (9_000_000, replace(FIGURES, apply=2e-3), "`apply`"),
        (9_000_000, replace(FIGURES, prepare=2e-3), "`prepare`"),
    ],
)
def test_the_largest_share_of_an_hour_gives_way_first(accounts: int, figures: Figures, part: str) -> None:
    found = limits(at_latency(accounts, figures))

    assert found[0][0] == part
    assert dict(found)["the contact center"] == pytest.approx(accounts / VENDOR_RATE / HOUR)


def test_every_number_of_the_table() -> None:
    ((head, *rows),) = tables(projection(FIGURES, (100_000, 10_000_000)))
    found = {row[0]: row[1:] for row in rows}

    assert head == ["", "100,000 accounts", "10,000,000 accounts"]
    assert found == {
        "shards; 1 is the operator": ["1", "6"],
        "`max_concurrency`": ["64", "384"],
        "time, replies after 50 ms": ["101 s", "30 min"],
        "shards, `max_concurrency` for 7,500 queries/s": ["8, 512", "8, 512"],
        "time with these": ["15 s", "25 min"],
        "time from the directory, one task": ["4 s", "7 min"],
        "written to the warehouse, first run": ["100 MB, 400,000 rows", "10.0 GB, 40,000,000 rows"],
        "… run without changes": ["50 MB, 300,000 rows", "5.0 GB, 30,000,000 rows"],
        "staging before `apply`": ["40 MB", "4.0 GB"],
        "rows in Airflow's database": ["8", "43"],
        "with one task, gives way first": [
            "the workers' rate: 3% of an hour",
            "the workers' rate: 278% of an hour",
        ],
        "what to do": ["nothing", "more shards, and `max_concurrency` with them"],
        "with more shards, gives way next": [
            "the contact center: 0% of an hour",
            "the contact center: 37% of an hour",
        ],
        "what to do then": ["nothing", "nothing"],
    }


def test_every_part_has_a_remedy() -> None:
    _, *rows = tables(section("docs/growth.md", "## What to do"))[0]

    assert {part for part, _ in limits(at_latency(1, FIGURES))} <= {row[0] for row in rows}


@pytest.mark.parametrize("path", ["docs/benchmarks.md", "docs/growth.md"])
def test_the_suite_has_a_place_on_both_pages(path: str) -> None:
    text = page(path)

    assert text.count("<!-- scale -->") == text.count("<!-- /scale -->") == 1
