"""The quick start's way through the web interface, as its page has it, and the surroundings it leads to."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from scripts.airflow_home import AirflowHome
from scripts.ports import free_port
from tests.conftest import CHECKOUT
from tests.docs.pages import section, tables
from tests.packaging.test_wheel import UV

PAGE = section("docs/quick-start.md", "## In Airflow's web interface, against the simulator")


def code(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return [textwrap.dedent(found) for found in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)]


INSTALL, CENTER, AIRFLOW = code("bash")


class NewUser:
    """Somebody who follows the page; in a ``with`` block, the contact center and Airflow run.

    :param directory: where they work
    :param wheel: what they install instead of a checkout
    """

    def __init__(self, directory: Path, wheel: Path) -> None:
        self.directory = directory
        self._wheel = wheel
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> NewUser:
        with contextlib.ExitStack() as stack:
            python = self._install()
            self.connections = self._start_center(python, stack)
            self._start_airflow(python, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where the web interface is."""
        return f"http://127.0.0.1:{self.airflow.port}"

    @property
    def warehouse(self) -> Path:
        """The file that the page has at another place, where two users would meet."""
        return self.directory / "warehouse.duckdb"

    def password(self) -> str:
        """Return the password that Airflow has made up."""
        kept = self.airflow.directory / "simple_auth_manager_passwords.json.generated"
        return str(json.loads(kept.read_text())["admin"])

    def log_end(self) -> str:
        """Return the end of Airflow's log, without the passwords."""
        end = self.airflow.log_end(lines=200)
        for secret in [self.password(), *(printed["password"] for printed in self.connections.values())]:
            end = end.replace(secret, "***")
        return end

    def entries(self) -> list[tuple[dict[str, str], dict[str, str]]]:
        """Return the connections that the page says to make: standard fields and extra fields of each."""
        found: list[tuple[dict[str, str], dict[str, str]]] = []
        for (title, _), *rows in tables(PAGE):
            values = {label: self._meant(value) for label, value in rows}
            if title == "Standard Fields":
                found.append((values, {}))
            else:
                assert title == "Extra Fields"
                found[-1][1].update(values)
        return found

    def stored(self, conn_id: str) -> dict[str, Any]:
        """Return a connection as the metadata database has it, decrypted."""
        settings = configparser.ConfigParser(interpolation=None)
        settings.read(self.airflow.directory / "airflow.cfg")
        fernet = Fernet(settings["core"]["fernet_key"])
        with contextlib.closing(sqlite3.connect(self.airflow.database, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            (row,) = database.execute("SELECT * FROM connection WHERE conn_id = ?", [conn_id])
        secret = {name: fernet.decrypt(row[name].encode()).decode() for name in ("password", "extra")}
        return {**dict(row), "password": secret["password"], "extra": json.loads(secret["extra"])}

    def _meant(self, value: str) -> str:
        if value.startswith("`"):
            literal = value.strip("`")
            return str(self.warehouse) if literal.endswith(".duckdb") else literal
        printed = self.connections["cc_management_default"]
        name = value.strip("*")
        return str(printed[name] if name in printed else printed["extra"][name])

    def _install(self) -> Path:
        environment = self.directory / "environment"
        python = environment / "bin" / "python"
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
        _, _, install = INSTALL.splitlines()
        tool, verb, *arguments = shlex.split(install)
        assert (tool, verb) == ("pip", "install")
        arguments = [
            f"airflow-provider-cc{argument[1:]} @ {self._wheel.as_uri()}" if argument[0] == "." else argument
            for argument in arguments
        ]
        subprocess.run(
            [UV, "pip", "install", "--quiet", "--python", python, *arguments], cwd=CHECKOUT, check=True
        )
        return python

    def _start_center(self, python: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
        port = free_port()
        center = subprocess.Popen(
            ["bash", "-c", f"exec {CENTER.replace('8443', str(port))}"],
            cwd=self.directory,
            env=os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(center.wait)
        stack.callback(center.terminate)
        assert center.stdout is not None
        printed = iter(center.stdout.readline, "\n")  # an empty line is the last
        exports = [shlex.split(line)[1].split("=", 1) for line in printed if line.startswith("export")]
        return {name.removeprefix("AIRFLOW_CONN_").lower(): json.loads(value) for name, value in exports}

    def _start_airflow(self, python: Path, stack: contextlib.ExitStack) -> None:
        *settings, command = AIRFLOW.splitlines()
        assert command == "airflow standalone"
        exported = subprocess.run(
            ["bash", "-c", "\n".join([*settings, "env --null"])],
            cwd=CHECKOUT,
            env={"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        variables = dict(line.split("=", 1) for line in exported.split("\0") if line.startswith("AIRFLOW_"))
        self.airflow = AirflowHome(self.directory / "airflow", variables, python=python)
        stack.enter_context(self.airflow.standalone())
        self.airflow.wait_for_web()
