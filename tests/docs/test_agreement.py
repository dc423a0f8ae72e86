"""What the documentation's tables say is what the code says."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
from dataclasses import fields
from typing import Any

import pytest
import yaml
from sqlalchemy.dialects import postgresql

from airflow_provider_cc import exceptions
from airflow_provider_cc.api import gateway
from airflow_provider_cc.api.gateway import retcode_meaning
from airflow_provider_cc.api.protocol import Meaning
from airflow_provider_cc.get_provider_info import CONNECTION_TYPES, get_provider_info
from airflow_provider_cc.hooks.connection import CCSettings, read_settings
from airflow_provider_cc.simulator import Faults
from airflow_provider_cc.simulator.__main__ import _parser
from airflow_provider_cc.sync.columns import AGENT_COLUMNS
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.schema import define
from tests.conftest import CHECKOUT
from tests.docs.pages import blocks, code_words, page, section, tables

TYPES = {entry["connection-type"]: entry for entry in CONNECTION_TYPES}


def operators() -> dict[str, Any]:
    """Return every operator that the provider names."""
    info = get_provider_info()
    modules = [module for entry in info["operators"] for module in entry["python-modules"]]
    modules += [entry["python-module"] for entry in info["transfers"]]
    return _classes(modules, "Operator")


def sensors() -> dict[str, Any]:
    """Return every sensor that the provider names."""
    modules = [module for entry in get_provider_info()["sensors"] for module in entry["python-modules"]]
    return _classes(modules, "Sensor")


def _classes(modules: list[str], kind: str) -> dict[str, Any]:
    return {
        name: value
        for module in modules
        for name, value in vars(importlib.import_module(module)).items()
        if name.endswith(kind) and getattr(value, "__module__", None) == module
    }


def _resolve(called: str) -> Any:
    module, _, owner = called.rpartition(".")
    return getattr(importlib.import_module(module), owner)


@pytest.mark.parametrize("path", ["README.md", "docs/connections.md"])
def test_connection_table(path: str) -> None:
    table = tables(page(path))[0]
    columns = code_words(" ".join(table[0]))
    cells = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in table[1:]}

    assert columns == list(TYPES)
    for conn_type, entry in TYPES.items():
        form = entry["ui-field-behaviour"]
        hook = _resolve(entry["hook-class-name"])
        unless_set = {"Port, if not": str(getattr(hook, "default_port", "")), "Schema, if not": "https"}
        for label, field in {"Host": "host", "Port, if not": "port", "Schema, if not": "schema"}.items():
            cell = cells[label][conn_type]
            assert (cell == "–") == (field in form["hidden-fields"])
            assert cell in ("–", unless_set.get(label, cell))
        for label in ("Host", "Login", "Password"):
            told = form["relabeling"].get(label.lower())
            if told is not None:
                assert cells[label][conn_type].lower() == told.lower()
        for extra in code_words(cells.get("Extra", {}).get(conn_type, "")):
            assert extra in entry["conn-fields"]


def test_extras() -> None:
    common, *own = tables(section("docs/connections.md", "## Extras"))
    told = {
        conn_type: {code_words(row[0])[0]: row for row in table[1:]}
        for conn_type, table in zip(("cc_management", "cc_isales", "cc_agent"), own, strict=True)
    }
    shared = {code_words(row[0])[0]: row for row in common[1:]}

    for conn_type, entry in TYPES.items():
        everywhere = set() if conn_type == "cc_agent" else set(shared)
        assert set(told.get(conn_type, {})) | everywhere == set(entry["conn-fields"])
    defaults = {field.name: field.default for field in fields(CCSettings)}
    for extra, (_, _, default, _) in shared.items():
        expected = defaults[extra]
        assert default == ("none" if expected is None else json.dumps(expected).removesuffix(".0")), extra
    for extra in ("token_header", "token_kind"):
        schema = TYPES["cc_isales"]["conn-fields"][extra]["schema"]
        _, allowed, default, _ = told["cc_isales"][extra]
        assert code_words(allowed) == schema["enum"]
        assert code_words(default) == schema["enum"][:1]  # as the hook takes it


def _exported() -> list[tuple[str, str, str]]:
    return [
        (str(block), *word.split("=", 1))
        for block in blocks("bash")
        for word in shlex.split(block.code.replace("\\\n", ""), comments=True)
        if word.startswith("AIRFLOW_CONN_")
    ]


@pytest.mark.parametrize(("where", "variable", "value"), _exported())
def test_connections_in_the_environment(
    where: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.providers.common.compat.sdk import BaseHook

    monkeypatch.setenv(variable, value)
    connection = BaseHook.get_connection(variable.removeprefix("AIRFLOW_CONN_").lower())

    if connection.conn_type in TYPES:
        known = TYPES[connection.conn_type]["conn-fields"]
        assert set(connection.extra_dejson) <= set(known)
        if connection.conn_type != "cc_agent":
            settings = read_settings(connection, 443, known)
            assert settings.host
        assert connection.login
        assert connection.password
    else:
        assert connection.conn_type in ("postgres", "duckdb", "turso")


def test_there_are_connections_in_every_form() -> None:
    values = [value for _, _, value in _exported()]

    assert {json.loads(value)["conn_type"] for value in values if value.startswith("{")} >= set(TYPES)
    assert any(value.startswith("cc-management://") for value in values)


def test_every_operator_has_its_section() -> None:
    assert set(re.findall(r"^## (CC\w+)$", page("docs/operators.md"), re.MULTILINE)) == set(operators())
    table = tables(section("README.md", "## Operators"))[0]
    assert {code_words(row[0])[0] for row in table[1:]} == set(operators())


def test_every_sensor_has_its_section() -> None:
    assert set(re.findall(r"^## (CC\w+)$", page("docs/waiting.md"), re.MULTILINE)) == set(sensors())


@pytest.mark.parametrize(
    "operator", [*operators().values(), *sensors().values()], ids=lambda operator: operator.__name__
)
def test_arguments(operator: Any) -> None:
    where = "docs/waiting.md" if operator.__name__ in sensors() else "docs/operators.md"
    table = tables(section(where, f"## {operator.__name__}"))[0]
    told = {code_words(row[0])[0]: row[1:3] for row in table[1:]}
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(inspect.unwrap(operator.__init__)).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }

    assert set(told) == set(parameters)
    for argument, (default, templated) in told.items():
        if parameters[argument].default is inspect.Parameter.empty:
            assert default == "required"
        else:
            assert default == "`" + repr(parameters[argument].default).replace("'", '"') + "`"
        assert templated == ("yes" if argument in operator.template_fields else "no"), argument


def test_arguments_in_the_readme() -> None:
    sync = inspect.signature(inspect.unwrap(operators()["CCAgentsToSqlOperator"].__init__)).parameters
    table = tables(section("README.md", "## Operators"))[1]

    for names, default, _ in table[1:]:
        for argument in code_words(names):
            assert argument in sync
        if default.startswith("`"):
            assert code_words(default)[0] == repr(sync[code_words(names)[0]].default).replace("'", '"')


def test_counts() -> None:
    table = tables(section("docs/operators.md", "## CCAgentsToSqlOperator"))[1]
    told = [count for row in table[1:] for count in code_words(row[0])]

    assert sorted(told) == sorted([*(field.name for field in fields(Counts)), "seconds"])


def test_columns() -> None:
    defined = define(AGENT_COLUMNS, "cc_agent", "cc_agent_history", "cc_agent_reject", "cc_sync_run")
    for table in defined.present():
        told = tables(section("docs/tables.md", f"## {table.name}"))[0]
        assert [(code_words(row[0])[0], row[1]) for row in told[1:]] == [
            (
                column.name,
                column.type.compile(dialect=postgresql.dialect()).replace(" WITH TIME ZONE", ""),
            )
            for column in table.columns
        ]


def test_exceptions() -> None:
    table = next(
        table for table in tables(section("docs/operations.md", "## Attempts")) if table[0][0] == "exception"
    )
    told = {code_words(row[0])[0]: row[2] for row in table[1:]}

    assert told.keys() - {"ValueError"} == {
        name for name in vars(exceptions) if re.fullmatch(r"CC\w+Error", name) and name != "CCError"
    }
    for error, retries in told.items():
        if error != "ValueError":
            final = issubclass(getattr(exceptions, error), exceptions.AirflowFailException)
            assert retries.startswith("prevented") == final


def test_retcodes() -> None:
    table = tables(section("docs/troubleshooting.md", "## CC-Gateway"))[0]
    told = {code: does for codes, _, does in table[1:] for code in code_words(codes)}
    does = {
        Meaning.SUCCESS: "continues",
        Meaning.BUSY: "retries",
        Meaning.LAPSED: "renews the session if it has lapsed",
        Meaning.REFUSED: "never retries",
        Meaning.FAILURE: "fails",
    }

    documented = {"0", "000-001", "000-002", "000-006", "100-001", "100-002", "100-008", "107-002"}
    assert set(told) == documented | gateway._BUSY | gateway._LAPSED | gateway._REFUSED
    assert told == {code: does[retcode_meaning(code)] for code in told}


def test_options_of_the_simulator() -> None:
    options = {
        text for action in _parser()._actions for text in action.option_strings if text.startswith("--")
    } - {"--help"}
    told = [
        code_words(row[0])[0]
        for table in tables(section("docs/simulator.md", "## From a shell"))
        for row in table[1:]
    ]

    assert sorted(told) == sorted(options)
    used = {
        word.partition("=")[0]
        for block in blocks("bash")
        for line in block.code.splitlines()
        if "airflow_provider_cc.simulator" in line
        for word in line.split()
        if word.startswith("--")
    }
    assert used <= options


def test_switches_of_the_simulator() -> None:
    table = tables(section("docs/simulator.md", "## Switches for faults"))[0]

    assert {word for row in table[1:] for word in code_words(row[0])} == {
        field.name for field in fields(Faults)
    }


def test_example_dags() -> None:
    told = [code_words(row[0])[0] for row in tables(section("README.md", "## Example DAGs"))[0][1:]]

    assert sorted(told) == sorted(file.stem for file in (CHECKOUT / "dags").glob("*.py"))


def test_targets_of_make() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    for block in blocks("bash"):
        for target in re.findall(r"^make ([a-z]+)", block.code, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{block}: make {target}"


def test_versions() -> None:
    tested = (CHECKOUT / "Makefile").read_text().partition("AIRFLOWS := ")[2].splitlines()[0].split()
    told = section("README.md", "## Versions")

    assert re.findall(r"\d+\.\d+\.\d+", told)[: len(tested)] == tested
    project = (CHECKOUT / "pyproject.toml").read_text()
    (least,) = re.findall(r"apache-airflow>=([\d.]+)", project)
    (python,) = re.findall(r'requires-python = ">=([\d.]+)"', project)
    assert f"Airflow {least} or later" in told
    assert f"Python {python} or later" in told


def test_variables_and_models_of_the_dbt_package() -> None:
    variables = yaml.safe_load(page("dbt/dbt_project.yml"))["vars"]
    table = tables(section("docs/dbt.md", "## Variables"))[0][1:]
    assert [code_words(row[0]) for row in table] == [[name] for name in variables]
    defaults = [[] if value is None else [str(value)] for value in variables.values()]
    assert [code_words(row[1]) for row in table] == defaults

    models = yaml.safe_load(page("dbt/models/models.yml"))["models"]
    told = [code_words(row[0])[0] for row in tables(section("docs/dbt.md", "## Models"))[0][1:]]
    assert told == [model["name"] for model in models]
