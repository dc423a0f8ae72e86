"""What differs between Airflow versions is in `compat.py`, and nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_cc

PACKAGE = Path(airflow_provider_cc.__file__).parent
#: The same under the same name in every version, and not to be had from Airflow's compatibility layer.
SAME_EVERYWHERE = {"airflow.cli.cli_config", "airflow.triggers.base"}
#: What only the API server has, the same in every version that loads the page.
OF_THE_API_SERVER = {
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.auth.managers.models.base_user",
    "airflow.api_fastapi.auth.managers.models.resource_details",
    "airflow.api_fastapi.core_api.security",
    "airflow.models.taskinstance",
    "airflow.models.xcom",
    "airflow.utils.session",
}
ASKS_FOR_A_VERSION = re.compile(r"AIRFLOW_V_\d|airflow\.__version__|version\([\"']apache-airflow[\"']\)")


def modules() -> list[Path]:
    """Return every module of the package but the one in question."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "compat.py"]


def imported(source: str) -> Iterator[str]:
    """Yield the modules of Airflow that are imported, wherever in the file; other providers are not its."""
    for node in ast.walk(ast.parse(source)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if re.match(r"airflow(\.(?!providers\.)|$)", name))
        # What Airflow's compatibility layer has of Airflow itself belongs into compat.py, too.
        yield from (
            name for name in names if re.match(r"airflow\.providers\.common\.compat\.(?!openlineage)", name)
        )


def test_modules_import_nothing_of_airflow_itself_and_ask_for_no_version() -> None:
    sources = {path: path.read_text() for path in modules()}
    allowed = dict.fromkeys(sources, SAME_EVERYWHERE)
    for path in (PACKAGE / "ui" / "app.py", PACKAGE / "ui" / "runs.py"):
        allowed[path] = SAME_EVERYWHERE | OF_THE_API_SERVER

    assert {path for path, source in sources.items() if set(imported(source)) - allowed[path]} == set()
    assert {path for path, source in sources.items() if ASKS_FOR_A_VERSION.search(source)} == set()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from airflow.hooks.base import BaseHook", "airflow.hooks.base"),
        ("import airflow", "airflow"),
        ("def f():\n    from airflow.sdk import Variable", "airflow.sdk"),
        ("from airflow.providers.common.compat.sdk import BaseHook", "airflow.providers.common.compat.sdk"),
        ("from airflow.providers.common.sql.hooks.sql import DbApiHook", None),
        ("from airflow_provider_cc.compat import BaseHook", None),
    ],
)
def test_imports_are_found(line: str, found: str | None) -> None:
    assert next(imported(line), None) == found


@pytest.mark.parametrize(
    "line",
    ["if AIRFLOW_V_3_0_PLUS:", 'version("apache-airflow")', "airflow.__version__ < '3'"],
)
def test_questions_for_a_version_are_found(line: str) -> None:
    assert ASKS_FOR_A_VERSION.search(line)
