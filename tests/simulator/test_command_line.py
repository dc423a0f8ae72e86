"""The command line, as a process."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

CHECKOUT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_cc.simulator", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_exports(process):
    """The connections it prints, by ID, up to the empty line."""
    connections = {}
    for line in process.stdout:
        if not line.strip():
            return connections
        if line.startswith("export "):
            name, _, value = shlex.split(line.removeprefix("export "))[0].partition("=")
            connections[name.removeprefix("AIRFLOW_CONN_").lower()] = json.loads(value)
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(number, tmp_path):
    process = run("--agents", "5", "--seed", "3", "--cert-dir", str(tmp_path), "--token-lifetime", "60")
    try:
        connection = read_exports(process)["cc_management_default"]
        assert connection["extra"]["verify"] == str(tmp_path / "ca.pem")
        url = f"{connection['schema']}://{connection['host']}:{connection['port']}"
        reply = requests.post(
            f"{url}/apigovernance/api/oauth/tokenByAkSk",
            json={"app_key": connection["login"], "app_secret": connection["password"]},
            verify=connection["extra"]["verify"],
            timeout=5,
        )
        assert reply.json()["Expires"] == "60"
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_its_options_set_the_faults_and_the_center():
    process = run(
        *("--http", "--error", "502=0.25", "--error", "503=0.5", "--latency", "0.01", "--jitter", "0.005"),
        *("--rate-limit", "100", "--retry-after", "3", "--reset", "0.01", "--vary-types", "--html-errors"),
        *("--expire-every", "60", "--isales-header", "Authorization", "--tenant-space-id", "t 1"),
    )
    try:
        connections = read_exports(process)
        assert connections["cc_management_default"]["schema"] == "http"
        assert connections["cc_management_default"]["extra"] == {"tenant_space_id": "t 1"}
        assert connections["cc_isales_default"]["extra"]["token_header"] == "Authorization"
        port = connections["cc_management_default"]["port"]
        faults = requests.get(f"http://127.0.0.1:{port}/_simulator/faults", timeout=5).json()
        assert faults["errors"] == {"502": 0.25, "503": 0.5}
        assert (faults["latency"], faults["jitter"], faults["reset_before"]) == (0.01, 0.005, 0.01)
        assert (faults["rate_limit"], faults["retry_after"], faults["expire_every"]) == (100, 3.0, 60.0)
        assert faults["vary_types"] is faults["html_errors"] is True
        process.terminate()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_malformed_option_is_explained():
    process = run("--error", "502")
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "502=0.01" in errors
