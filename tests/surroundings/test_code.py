"""What the package's code never does, whatever it is given."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_cc

PACKAGE = Path(airflow_provider_cc.__file__).parent
#: Modules that make code or processes of data, and what each would be used for.
FORBIDDEN_MODULES = {
    "_pickle", "cloudpickle", "code", "codeop", "commands", "dill", "imp", "jsonpickle", "marshal", "pickle",
    "pty", "runpy", "shelve", "subprocess", "telnetlib", "yaml",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "__import__", "eval", "exec", "execl", "execle", "execlp", "execv", "execve", "execvp", "fork",
    "import_module", "import_string", "popen", "posix_spawn", "spawnl", "spawnv", "system",
}  # fmt: skip
#: Without an argument these wait for as long as it takes; the ones here wait for what is bounded itself.
UNBOUNDED = {"acquire", "get", "join", "result", "wait"}
BOUNDED_THEMSELVES = {
    "hooks/agent.py: self._poller.join()",  # its polls have their time-outs and their tries
    "sync/batches.py: self._room.wait()",  # until a transaction ends, which is tried eight times
    "sync/interruptible.py: self._wake.get()",  # until the work ends, or Airflow stops it
    "sync/interruptible.py: done.result()",  # of work that is done
    "sync/pages.py: task.result()",  # of a task that is done
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def tree(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"), str(source))


def imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def offences(text: str) -> set[str]:
    """Name what a piece of code does that none of the package may."""
    module = ast.parse(text)
    found = set(imported(module)) & FORBIDDEN_MODULES
    for call in calls(module):
        if name(call) in FORBIDDEN_CALLS or (isinstance(call.func, ast.Name) and call.func.id == "compile"):
            found.add(name(call))
        shell = [keyword.value for keyword in call.keywords if keyword.arg == "shell"]
        if any(not (isinstance(value, ast.Constant) and value.value is False) for value in shell):
            found.add("shell")
    return found


def test_no_data_becomes_code_or_a_command() -> None:
    found = {source: offences(source.read_text(encoding="utf-8")) for source in sources()}

    assert {source: offence for source, offence in found.items() if offence} == {}


@pytest.mark.parametrize(
    ("text", "offence"),
    [
        ("import pickle", "pickle"),
        ("def f():\n    from pickle import loads", "pickle"),
        ("import yaml.loader", "yaml"),
        ("eval(reply)", "eval"),
        ("builtins.exec(reply)", "exec"),
        ("compile(reply, '', 'exec')", "compile"),
        ("os.system(account)", "system"),
        ("from os import popen\npopen(account)", "popen"),
        ("run(account, shell=True)", "shell"),
        ("run(account, shell=anything)", "shell"),
        ("importlib.import_module(reply)", "import_module"),
    ],
)
def test_what_would_be_found(text: str, offence: str) -> None:
    assert offence in offences(text)


def test_every_wait_is_bounded() -> None:
    """A call of these without any argument has no time-out."""
    endless = {
        f"{source.relative_to(PACKAGE)}: {ast.unparse(call)}"
        for source in sources()
        for call in calls(tree(source))
        if name(call) in UNBOUNDED and not call.args and not call.keywords
    }
    # The simulator is no part of a task.
    assert {found for found in endless if not found.startswith("simulator/")} == BOUNDED_THEMSELVES


def test_every_connection_has_a_time_out() -> None:
    """Each way to open one is in a single place, and has a time-out there."""
    opening = {"self.session.request", "aiohttp.ClientSession", "socket.create_connection", "urlopen"}
    found = [
        (str(source.relative_to(PACKAGE)), call)
        for source in sources()
        for call in calls(tree(source))
        if ast.unparse(call.func) in opening and "simulator" not in source.parts
    ]
    assert sorted(name for name, _ in found) == ["doctor/network.py", *["hooks/transport.py"] * 2]
    for _, call in found:
        given = {keyword.arg for keyword in call.keywords} | {
            ast.unparse(value) for value in call.args if isinstance(value, ast.Name)
        }
        assert "timeout" in given
