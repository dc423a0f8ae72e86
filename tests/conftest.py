"""Airflow gets a throw-away home before anything imports it, so that tests neither read nor leave a trace."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

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


_HOME = _isolate()


def pytest_unconfigure() -> None:
    """Remove this process's home; under pytest-xdist each worker has its own."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of an empty metadata database, to be copied by every Airflow that needs one."""
    from scripts.airflow_home import AirflowHome

    home = AirflowHome(tmp_path_factory.mktemp("migrated"), {})
    home.migrate()
    return home.database
