"""Every piece of Python in the documentation runs as it is printed."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cc.get_provider_info import get_provider_info
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.simulator import Simulator
from tests.docs.pages import Block, blocks, dag_bag
from tests.docs.test_site import PUBLIC
from tests.transfers.database import Database

#: What of each hook a snippet has to show.
PUBLIC_OF = {
    owner: set(members)
    for module, owners in PUBLIC.items()
    if module.startswith("hooks.")
    for owner, members in owners.items()
}


@pytest.mark.parametrize("block", blocks("python", ""), ids=str)
def test_block_runs(block: Block, surroundings: Database, tmp_path: Path) -> None:
    for number, operator in enumerate(_operators(block, tmp_path)):
        task = SimpleNamespace(run_id=f"run_{number}", map_index=-1)
        result = operator.execute({"ti": task})
        assert result not in (None, []), f"{operator.task_id} returns nothing"


def _operators(block: Block, folder: Path) -> Iterable[Any]:
    """Run a block; return the operators it made."""
    from airflow.providers.common.compat.sdk import DAG

    if "DAG(" in block.code:
        file = folder / "snippet.py"
        file.write_text(block.code)
        bag = dag_bag(file)
        assert bag.import_errors == {}
        return [task for dag in bag.dags.values() for task in dag.tasks]
    with DAG("snippet", schedule=None) as dag:
        exec(compile(block.code, str(block), "exec", dont_inherit=True), {"__name__": "snippet"})
    return dag.tasks


@pytest.mark.parametrize("block", blocks("python", "pytest"), ids=str)
def test_block_is_a_test_that_passes(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "test_snippet.py"
    file.write_text(block.code)

    (tmp_path / "pytest.ini").write_text("[pytest]")  # so that the checkout's own configuration is not found
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_an_endpoint_is_added_in_ten_lines(center: Simulator) -> None:
    from airflow_provider_cc.api import management

    endpoint, method = blocks("python", "part")
    lines = [
        line for block in (endpoint, method) for line in block.code.splitlines() if line and '"""' not in line
    ]
    # Each where CONTRIBUTING.md says: the first in the module, the second in the hook's class.
    module = dict(vars(management))
    exec(compile(endpoint.code, str(endpoint), "exec", dont_inherit=True), module)
    body: dict[str, Any] = {"api": SimpleNamespace(**module)}
    exec(compile("from __future__ import annotations\n" + method.code, str(method), "exec"), body)
    hook = type("Hook", (CCManagementHook,), {"directory_total": body["directory_total"]})()

    assert len(lines) <= 10
    assert hook.directory_total() == 40


def test_everything_public_is_shown_by_a_snippet_that_is_run() -> None:
    used: dict[str, set[str]] = {}
    for block in blocks("python"):
        if block.mark != "part":
            for owner, name in _uses(block.code):
                used.setdefault(owner, set()).add(name)

    classes = {
        value
        for modules in _modules()
        for value in vars(importlib.import_module(modules)).values()
        if inspect.isclass(value) and value.__module__ == modules and value.__name__.startswith("CC")
    }
    hooks = {value for value in classes if value.__name__.endswith("Hook")}
    assert {hook.__name__ for hook in hooks} == {
        "CCAgentHook",
        "CCGatewayHook",
        "CCISalesHook",
        "CCManagementHook",
    }
    for shown in classes - hooks:
        assert "()" in used.get(shown.__name__, set()), f"no snippet makes a {shown.__name__}"
    for hook in hooks:
        methods = {name for name in vars(hook) if name[0] != "_" and name in PUBLIC_OF[hook.__name__]}
        assert methods == PUBLIC_OF[hook.__name__]
        assert methods - used[hook.__name__] == set(), f"no snippet uses these of {hook.__name__}"


def _modules() -> Iterator[str]:
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors"):
        for entry in info.get(kind, []):
            yield from entry["python-modules"]
    yield from (entry["python-module"] for entry in info["transfers"])


def _uses(code: str) -> Iterator[tuple[str, str]]:
    """Yield what a piece of code makes, and which attributes of it are used: class, and name or ``()``."""
    tree = ast.parse(code)
    made: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, "()"
        if isinstance(node, ast.ClassDef):  # a subclass shows its base
            yield from ((base.id, "()") for base in node.bases if isinstance(base, ast.Name))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made |= {ast.unparse(target): ast.unparse(node.value.func) for target in node.targets}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Call):
                yield ast.unparse(node.value.func), node.attr
            yield made.get(ast.unparse(node.value), ""), node.attr


def test_every_block_says_how_it_is_run() -> None:
    assert {block.mark for block in blocks("python")} == {"", "airflow", "pytest", "part"}
    assert {block.mark for block in blocks("sql")} == {"", "schema", "dbt"}
