"""The package in docs/dialects.md, put where Python finds it, as if it were installed."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import sqlalchemy

from tests.docs.pages import section

PAGE = "docs/dialects.md"
#: The package's modules, each as the page has it under a heading.
MODULES = {"dialect": ("### The dialect", 0), "hook": ("### The hook", 0), "__init__": ("### The hook", 1)}


def module(name: str) -> str:
    """Return one of the package's modules."""
    heading, number = MODULES[name]
    return re.findall(r"```python\n(.*?)```", section(PAGE, heading), re.DOTALL)[number]


def install(folder: Path) -> None:
    """Make the package importable in this process, and its entry points known.

    :param folder: where to put it
    """
    (text,) = re.findall(r"```toml\n(.*?)```", section(PAGE, "### The package"), re.DOTALL)
    project = tomllib.loads(text)["project"]
    package = project["name"].replace("-", "_")
    metadata = folder / f"{package}-{project['version']}.dist-info"
    for directory in (metadata, folder / package):
        directory.mkdir(parents=True)
    for name in MODULES:
        (folder / package / f"{name}.py").write_text(module(name))
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n{name} = {value}\n" for group, entries in groups for name, value in entries.items()]
    (metadata / "entry_points.txt").write_text("".join(lines))
    sys.path.insert(0, str(folder))


def sqlalchemy_name() -> str:
    """Return what SQLAlchemy calls the database."""
    if sqlalchemy.__version__.startswith("1."):
        pytest.skip("SQLAlchemy 1.4 has no Turso")
    return "sqlite+turso"
