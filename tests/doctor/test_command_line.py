"""The command: what it prints and returns, and where it finds connections outside any task."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from airflow.providers_manager import ProvidersManager

from scripts.airflow_home import AirflowHome
from tests.doctor.support import MANAGEMENT

DOCTOR = "airflow_provider_cc.doctor"


@pytest.fixture
def doctor(capsys, monkeypatch):
    """Run the command in this process: what Airflow takes to start is not what most tests are about."""

    def doctor(*arguments):
        monkeypatch.setattr(sys, "argv", [DOCTOR, *arguments])
        with mock.patch.dict(os.environ, COLUMNS="120"), pytest.raises(SystemExit) as ended:
            runpy.run_module(DOCTOR, run_name="__main__")
        return subprocess.CompletedProcess(arguments, ended.value.code, *capsys.readouterr())

    return doctor


def run(*arguments, environment=os.environ):
    """Run a module in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**environment, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
def test_all_is_well(cc):
    done = run(DOCTOR, MANAGEMENT)
    assert done.returncode == 0, done.stderr
    head, _, first, *_ = done.stdout.splitlines()
    assert head.split() == ["check", "verdict", "seen", "what", "to", "do"]
    assert first.split() == ["connection", "ok", "complete"]
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert cc.stats.sign_ins() == 1


@pytest.mark.slow
def test_something_failed_and_a_report_goes_to_a_file(cc, reconnect, tmp_path):
    reconnect(MANAGEMENT, password="wrong-password")
    done = run(DOCTOR, MANAGEMENT, "--report", str(tmp_path / "report.md"))
    assert done.returncode == 1
    report = (tmp_path / "report.md").read_text()
    assert "| sign_in | fail | rejected: 403 with JSON |" in report
    assert "wrong-password" not in done.stdout + done.stderr + report
    assert cc.stats.refused() == 1


def test_only_the_report_goes_to_standard_output(cc, doctor):
    done = doctor(MANAGEMENT, "--report", "-")
    assert done.stdout.startswith("# Connection check\n")
    assert "what to do" in done.stderr


def test_a_certificate_is_saved_once(start, connect, doctor, tmp_path):
    cc, saved = start(agents=3, certificate="signed_with_ca"), tmp_path / "ca.pem"
    connect(MANAGEMENT, cc.connections()[MANAGEMENT], extra={"verify": True})
    done = doctor(MANAGEMENT, "--save-ca", str(saved))
    assert done.returncode == 1
    assert f"Saved {saved}, SHA-256 " in done.stdout
    assert json.dumps({"verify": str(saved)}) in done.stdout
    assert saved.read_text() == Path(cc.ca_file).read_text()

    again = doctor(MANAGEMENT, "--save-ca", str(saved))
    assert again.returncode == 2
    assert "already exists" in again.stderr


@pytest.mark.parametrize("arguments", [(), ("no_such_connection",), (MANAGEMENT, "--no-such-option")])
def test_wrong_use(cc, doctor, arguments):
    done = doctor(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("python -m airflow_provider_cc.doctor: error: ")
    assert cc.stats.requests() == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_connection_in_airflows_database(cc, tmp_path, migrated_database):
    home = AirflowHome(tmp_path / "airflow", {})
    home.migrate(migrated_database)
    connection = cc.connections()[MANAGEMENT]
    is_command = hasattr(ProvidersManager, "cli_command_functions")
    with home.one_process():
        home.airflow("connections", "add", "cc_stored", "--conn-json", json.dumps(connection))
        if is_command:
            assert home.airflow("cc", "doctor", "cc_unknown", must_succeed=False) == 2
            said = home.log.read_text().splitlines()
            assert "airflow cc doctor: error: there is no connection 'cc_unknown'" in said

    done = run(DOCTOR, "cc_stored", environment=home.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cc.stats.sign_ins() == 1

    if is_command:
        found, report = len(done.stdout.splitlines()), tmp_path / "report.md"
        arguments = ("airflow", "cc", "doctor", "cc_stored", "--report", str(report))
        done = run(*arguments, environment=home.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(done.stdout.splitlines()) == found
        assert report.read_text().startswith("# Connection check\n")
        assert cc.stats.sign_ins() == 2


BACKEND = """
import json
from airflow.secrets import BaseSecretsBackend

class Vault(BaseSecretsBackend):
    def get_conn_value(self, conn_id, team_name=None):
        return json.dumps(CONNECTION) if conn_id == "cc_in_a_vault" else None
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_connection_in_a_secrets_backend(cc, tmp_path):
    connection = {**cc.connections()[MANAGEMENT]}
    (tmp_path / "a_vault.py").write_text(f"CONNECTION = {connection!r}\n{BACKEND}")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "AIRFLOW__SECRETS__BACKEND": "a_vault.Vault",
    }
    done = run(DOCTOR, "cc_in_a_vault", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cc.stats.sign_ins() == 1
