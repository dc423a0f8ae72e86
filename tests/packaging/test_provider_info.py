"""What the provider tells Airflow is true, and in the shape that Airflow asks for."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

import airflow_provider_cc
from airflow_provider_cc.get_provider_info import CONNECTION_TYPES, get_provider_info
from tests.conftest import CHECKOUT

PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
AIRFLOW_PACKAGE = Path(airflow.__file__).parent


def test_entry_point_leads_to_the_provider_info() -> None:
    (entry_point,) = (
        entry_point
        for entry_point in entry_points(group="apache_airflow_provider")
        if entry_point.dist is not None and entry_point.dist.name == PROJECT["name"]
    )

    assert entry_point.load() is get_provider_info


def test_package_name_is_the_distribution() -> None:
    assert get_provider_info()["package-name"] == PROJECT["name"]


def test_installed_version_is_the_project_version() -> None:
    assert version(PROJECT["name"]) == PROJECT["version"]


def test_provider_info_satisfies_airflow() -> None:
    schema = json.loads((AIRFLOW_PACKAGE / "provider_info.schema.json").read_text())

    jsonschema.validate(get_provider_info(), schema)


def test_connection_types_satisfy_airflow_forms() -> None:
    """The schema of the file that official providers generate their info from, stricter on forms."""
    schema = json.loads((AIRFLOW_PACKAGE / "provider.yaml.schema.json").read_text())

    jsonschema.validate(
        json.loads(json.dumps(CONNECTION_TYPES)),
        schema["properties"]["connection-types"] | {"$schema": schema["$schema"]},
    )


@pytest.mark.parametrize("entry", CONNECTION_TYPES, ids=lambda entry: entry["connection-type"])
def test_hook_of_a_connection_type(entry: dict[str, Any]) -> None:
    module, name = entry["hook-class-name"].rsplit(".", 1)
    hook = getattr(importlib.import_module(module), name)

    assert hook.conn_type == entry["connection-type"]
    assert hook.hook_name == entry["hook-name"]
    assert hook.default_conn_name == f"{entry['connection-type']}_default"


def test_every_module_with_operators_sensors_or_transfers_is_told() -> None:
    info = get_provider_info()
    told = {
        module
        for kind in ("operators", "sensors", "triggers")
        for entry in info.get(kind, [])
        for module in entry["python-modules"]
    } | {entry["python-module"] for entry in info["transfers"]}

    existing = {
        module
        for kind in ("operators", "sensors", "triggers", "transfers")
        for module in _modules(kind)
        if any(
            name.startswith("CC") and getattr(value, "__module__", None) == module
            for name, value in vars(importlib.import_module(module)).items()
        )
    }
    assert told == existing


def _modules(kind: str) -> list[str]:
    folder = Path(airflow_provider_cc.__file__).parent / kind
    return [module.name for module in pkgutil.iter_modules([str(folder)], f"airflow_provider_cc.{kind}.")]


def test_every_module_told_can_be_imported() -> None:
    info = get_provider_info()

    for kind in ("hooks", "operators"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                importlib.import_module(module)


def test_every_integration_is_declared() -> None:
    info = get_provider_info()
    declared = {entry["integration-name"] for entry in info["integrations"]}

    used = {entry["integration-name"] for kind in ("hooks", "operators") for entry in info[kind]}
    used |= {entry["source-integration-name"] for entry in info["transfers"]}
    assert used == declared


def test_provider_info_imports_nothing_of_airflow() -> None:
    """Airflow reads it at every start, before it is itself complete."""
    code = (
        "import sys; from airflow_provider_cc.get_provider_info import get_provider_info as info; info();"
        "sys.exit(any(name.partition('.')[0] == 'airflow' for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
