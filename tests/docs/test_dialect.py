"""The example of a dialect; what it does is shown by the sync's own tests, on the database `turso`."""

from __future__ import annotations

from airflow_provider_cc.sync.dialects import DIALECTS, Dialect, find
from tests import example_dialect
from tests.docs.pages import blocks, name


def test_it_is_complete_in_under_100_lines() -> None:
    whole = [block.code for block in blocks("python") if name(block.page) == example_dialect.PAGE]

    assert whole == [example_dialect.module(name) for name in example_dialect.MODULES]
    assert sum(code.count("\n") for code in whole) < 100


def test_it_is_found_by_its_entry_point() -> None:
    kind = find("turso")

    assert kind is not None
    assert issubclass(kind, Dialect)
    assert (kind.__module__, kind.name) == ("cc_turso.dialect", "sqlite")
    assert kind is not DIALECTS["sqlite"]
    assert find("no_such_database") is None
