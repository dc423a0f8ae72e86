"""The wheel has what it should, nothing else, and installs into an empty Airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

UV = shutil.which("uv") or str(CHECKOUT / ".venv" / "uv" / "bin" / "uv")

SHOW_WHAT_AIRFLOW_KNOWS = """
from airflow.providers_manager import ProvidersManager
from airflow_provider_cc.operators.gateway import CCConfigLoginOperator, CCQueryLoginInfoOperator
from airflow_provider_cc.operators.isales import CCISalesLoginOperator
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator, CCQueryAgentLoginParamsOperator
from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator
hooks = ProvidersManager().hooks
assert "airflow-provider-cc" in ProvidersManager().providers
print(*sorted(name for name, hook in hooks.items() if hook and hook.package_name == "airflow-provider-cc"))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel the way it is published: from the source archive."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [UV, "build", "--quiet", "--python", sys.executable, "--out-dir", directory, CHECKOUT], check=True
    )
    (built,) = directory.glob("*.whl")
    return built


def _tracked(*folders: str) -> set[str]:
    """The files of some folders that are under version control, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {name for name in listed.splitlines() if (CHECKOUT / name).exists()}


@pytest.mark.slow
def test_wheel_has_the_package_and_the_example_dags_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    dags = {name.replace("dags/", "airflow_provider_cc/example_dags/", 1) for name in _tracked("dags")}
    assert names == _tracked("airflow_provider_cc") | dags
    assert {f"airflow_provider_cc/{name}" for name in ("py.typed", "ui/page.html", "ui/page.js")} <= names
    assert "airflow_provider_cc/example_dags/cc_agents_from_accounts.py" in names


@pytest.mark.slow
def test_source_archive_has_what_the_wheel_is_made_of_and_the_dbt_package(wheel: Path) -> None:
    (archive,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}

    made_of = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
    assert names == _tracked("airflow_provider_cc", "dags", "dbt") | made_of | {"PKG-INFO", ".gitignore"}


@pytest.mark.slow
def test_wheel_of_the_source_archive_is_that_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    build = [UV, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", tmp_path, CHECKOUT]
    subprocess.run(build, check=True)

    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.slow
def test_wheel_carries_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        told = archive.read(metadata).decode()

    assert "License-Expression: Apache-2.0" in told
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("airflow_version", ["2.11.2", "3.3.2"])
def test_wheel_installs_into_an_empty_airflow(wheel: Path, tmp_path: Path, airflow_version: str) -> None:
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    pins = CHECKOUT / "requirements" / f"airflow-{airflow_version}.txt"
    install = [UV, "pip", "install", "--quiet", "--python", python, "--constraints", pins]
    subprocess.run([*install, f"apache-airflow=={airflow_version}", wheel], check=True)

    def run(*command: str) -> str:
        settings = {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        return subprocess.run(
            [python, *command], env=clean | settings, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    assert run("-c", SHOW_WHAT_AIRFLOW_KNOWS).split()[-4:] == [
        "cc_agent",
        "cc_gateway",
        "cc_isales",
        "cc_management",
    ]
