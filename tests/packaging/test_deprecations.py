"""Nothing that this Airflow, this Python or a library is about to take away is used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT


@pytest.mark.slow
def test_import_and_use_raise_no_deprecation_warning(tmp_path: Path, migrated_database: Path) -> None:
    """But for one that is planted, as Airflow takes over what is done with warnings, and would hide them."""
    dags = shutil.copytree(CHECKOUT / "dags", tmp_path / "dags")
    (dags / "old.py").write_text("import airflow, warnings\nwarnings.warn('soon gone', FutureWarning)\n")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{shutil.copy(migrated_database, tmp_path)}",
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [sys.executable, str(Path(__file__).parent / "use_everything.py"), str(dags)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if "Warning: " in line]
    assert told == [f"{dags}/old.py:2: FutureWarning: soon gone"]
    assert done.stdout.endswith("used everything\n")
