"""What the example DAGs promise; that they do what they say is shown in tests/system."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHECKOUT

FILES = sorted((CHECKOUT / "dags").glob("*.py"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def dag(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the file as Airflow does, with every connection out of reach: parsing needs none."""
    from airflow.providers.common.compat.sdk import BaseHook

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was read while parsing")

    monkeypatch.setattr(BaseHook, "get_connection", refuse)
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag
    bag = DagBag(path)
    assert bag.import_errors == {}
    (found,) = bag.dags.values()
    return found


def test_is_named_after_its_file(dag: Any, path: Path) -> None:
    assert dag.dag_id == path.stem


def test_says_what_to_set_up(dag: Any) -> None:
    assert "**Set up**" in dag.doc_md
    assert "cc" in dag.tags


def test_never_catches_up_nor_overlaps(dag: Any) -> None:
    assert dag.catchup is False
    assert dag.max_active_runs == 1


def test_retries_with_growing_pauses(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries >= 2
        assert task.retry_exponential_backoff
        assert task.max_retry_delay <= timedelta(minutes=15)


def test_tells_what_it_updates(dag: Any) -> None:
    assert any(task.outlets for task in dag.tasks)


def test_every_connection_is_a_param(dag: Any) -> None:
    for task in dag.tasks:
        for name in ("cc_conn_id", "sql_conn_id"):
            value = getattr(task, "partial_kwargs", {}).get(name) or getattr(task, name, None)
            assert value is None or "params." in value


def test_reads_the_same_on_every_airflow(path: Path) -> None:
    """Nothing of Airflow's own is imported: what moved between 2 and 3 comes from the compatibility layer."""
    tree = ast.parse(path.read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert "airflow.providers.common.compat.sdk" in modules
    assert not [name for name in modules if re.match(r"airflow\.(?!providers\.)", name)]


def test_takes_a_seat_only_when_asked() -> None:
    source = (CHECKOUT / "dags" / "cc_check_softphones.py").read_text()

    assert "schedule=None" in source
    assert "This signs the agent in" in source
