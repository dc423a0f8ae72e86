"""Airflow gets a throw-away home before anything imports it, so that tests neither read nor leave a trace."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.variables import Variables

pytest_plugins = ["tests.servers"]

CHECKOUT = Path(__file__).resolve().parent.parent
SCRATCH = CHECKOUT / ".cache" / "tests"


def _isolate() -> Path:
    """Drop every Airflow setting of the caller; point Airflow and pytest at places inside the checkout."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    SCRATCH.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"airflow-{version('apache-airflow')}-", dir=SCRATCH))
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTEST_DEBUG_TEMPROOT": str(SCRATCH),
    }
    return home


def _install_example() -> None:
    """Add the example of a dialect to the packages: Airflow looks for providers when it is first imported."""
    from tests import example_dialect

    example_dialect.install(_HOME / "example_dialect")


_HOME = _isolate()
_CHOSEN = pytest.StashKey[str]()
_DATABASE = _HOME / "airflow.db"
_install_example()


def pytest_unconfigure() -> None:
    """Remove this process's home; under pytest-xdist each worker has its own."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no worker waits for another's at the end.

    With ``WAREHOUSE=snowflake``, run what is about each database, and what is about Snowflake alone: its
    client needs an older SQLAlchemy than Airflow has otherwise, and so an environment of its own.
    """
    if os.environ.get("WAREHOUSE") == "snowflake":
        found = len(items)
        items[:] = [item for item in items if _is_for_snowflake(item)]
        config.stash[_CHOSEN] = (
            f"{len(items)} of {found} tests are run: what is about each database, or this one"
        )
    items.reverse()  # system and transfers, whose tests take longest, are last in the alphabet
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _is_for_snowflake(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    if "snowflake_database" in fixtures:
        return True
    return "database" in fixtures and item.get_closest_marker("each_database") is not None


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """Say what is run."""
    return config.stash.get(_CHOSEN, "")


@pytest.fixture(scope="session")
def migrated_database() -> Path:
    """Give the file of an empty metadata database, to be copied by every Airflow that needs one.

    It is kept from run to run, and made by one worker for all, as Airflow takes half a minute to make it.
    """
    from scripts.airflow_home import AirflowHome

    kept = SCRATCH / f"migrated-{version('apache-airflow')}.db"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            home = AirflowHome(_HOME / "migrated", {})
            home.migrate()
            home.database.replace(kept)
    return kept


@pytest.fixture(scope="session")
def _metadata_database(migrated_database: Path) -> Path:
    """Let this very process, too, have a metadata database."""
    from airflow import settings

    if settings.engine is not None:
        settings.engine.dispose()  # it may have an empty one open, which is not to be written over
    for left in _HOME.glob("airflow.db*"):
        left.unlink()
    return Path(shutil.copy(migrated_database, _DATABASE))


@pytest.fixture(autouse=True)
def _nothing_at_rest() -> None:
    """Let no test find a refused credential of another, whose center was at the same port."""
    if _DATABASE.exists() and "variable" in _tables(_DATABASE):
        from tests.variables import Variables

        Variables(_DATABASE).delete()


def _tables(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


@pytest.fixture
def variables(_metadata_database: Path) -> Variables:
    """Give real Variables, of which there are none yet."""
    from tests.variables import Variables

    variables = Variables(_metadata_database)
    variables.delete()
    return variables
