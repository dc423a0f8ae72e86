"""What the provider registry is told is there, and nothing else."""

from __future__ import annotations

import importlib
import tomllib
from typing import Any

import yaml

from airflow_provider_cc.get_provider_info import CONNECTION_TYPES, get_provider_info
from tests.conftest import CHECKOUT

TOLD: dict[str, Any] = yaml.safe_load((CHECKOUT / ".airflow-registry.yaml").read_text())


def _classes(module: str) -> set[str]:
    return {
        f"{module}.{name}"
        for name, value in vars(importlib.import_module(module)).items()
        if name.startswith("CC") and getattr(value, "__module__", None) == module
    }


def test_package_is_this_one() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]

    assert TOLD["package-name"] == project["name"]


def test_every_class_that_airflow_knows_of_is_told() -> None:
    info = get_provider_info()
    known = {"hooks": {entry["hook-class-name"] for entry in CONNECTION_TYPES}}
    for kind in ("operators", "sensors"):
        modules = [module for entry in info[kind] for module in entry["python-modules"]]
        known[kind] = {name for module in modules for name in _classes(module)}
    known["transfers"] = {name for entry in info["transfers"] for name in _classes(entry["python-module"])}

    for kind, names in known.items():
        assert {entry["module"] for entry in TOLD[kind]} == names
        assert all(entry["description"] for entry in TOLD[kind])
