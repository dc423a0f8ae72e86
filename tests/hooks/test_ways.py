"""An extra means the same in whichever way it came into Airflow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from scripts.airflow_home import AirflowHome
from tests.conftest import CHECKOUT

FIELDS = {
    "conn_type": "cc_management",
    "host": "cc.example",
    "login": "key",
    "password": "p@ss/wörd",
    "schema": "https",
}
EXTRA = {
    "verify": False,
    "timeout": 20,
    "max_concurrency": 16,
    "requests_per_second": 12.5,
    "share_session": True,
    "token_lifetime": 600,
    "tenant_space_id": "north",
}
# The form has a text for what may be a path, and writes down what nobody has filled in.
AS_THE_FORM_SAVES_IT = EXTRA | {"verify": "false", "token_url": None}
TEXTS = {name: str(value).lower() for name, value in EXTRA.items()}
URI = f"cc-management://key:{quote(FIELDS['password'], safe='')}@cc.example/https?{urlencode(TEXTS)}"

ENVIRONMENT = {
    "environment_json": json.dumps(FIELDS | {"extra": EXTRA}),
    "environment_texts": json.dumps(FIELDS | {"extra": json.dumps(TEXTS)}),
    "environment_uri": URI,
}
COMMAND_LINE = {
    "command_line_extra": [
        *(f"--conn-{name.replace('conn_', '')}={value}" for name, value in FIELDS.items()),
        f"--conn-extra={json.dumps(EXTRA)}",
    ],
    "command_line_uri": [f"--conn-uri={URI}"],
    "command_line_json": [f"--conn-json={json.dumps(FIELDS | {'extra': EXTRA})}"],
}
# What the web interface writes; that it does so is seen in tests/browser.
IMPORTED = {"form": FIELDS | {"extra": json.dumps(AS_THE_FORM_SAVES_IT)}}

READ_AS = {
    "host": "cc.example",
    "port": 443,
    "login": "key",
    "password": "p@ss/wörd",
    **{name: EXTRA[name] for name in ("verify", "timeout", "max_concurrency")},
    **{name: EXTRA[name] for name in ("requests_per_second", "share_session")},
}

#: Runs commands of Airflow's, all in one process, which takes less time; then reads what there is.
READ = """
import json, sys
from airflow.cli.cli_parser import get_parser
from airflow.models import Connection
from airflow_provider_cc.hooks.management import CCManagementHook
CCManagementHook.get_connection = staticmethod(Connection.get_connection_from_secrets)
commands, names, *conn_ids = sys.argv[1:]
for command in json.loads(commands):
    arguments = get_parser().parse_args(command)
    arguments.func(arguments)
found = {}
for conn_id in conn_ids:
    hook = CCManagementHook(conn_id)
    found[conn_id] = {name: getattr(hook.settings, name) for name in names.split()}
    found[conn_id]["headers"] = {**hook._sign_in_call().headers, **hook._headers(None)}
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_extra_means_the_same_in_every_way(tmp_path: Path, migrated_database: Path) -> None:
    airflow = AirflowHome(
        tmp_path / "airflow", {f"AIRFLOW_CONN_{name.upper()}": value for name, value in ENVIRONMENT.items()}
    )
    airflow.migrate(template=migrated_database)
    file = tmp_path / "connections.json"
    file.write_text(json.dumps(IMPORTED))
    commands = [["connections", "add", conn_id, *options] for conn_id, options in COMMAND_LINE.items()]
    told = [json.dumps([*commands, ["connections", "import", str(file)]]), " ".join(READ_AS)]
    done = subprocess.run(
        [airflow.python, "-c", READ, *told, *ENVIRONMENT, *COMMAND_LINE, *IMPORTED],
        cwd=CHECKOUT,
        env=airflow.environment | {"PYTHONPATH": os.fspath(CHECKOUT)},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == {*ENVIRONMENT, *COMMAND_LINE, *IMPORTED}
    for way, read in found.items():
        headers = read.pop("headers")
        assert (way, read) == (way, READ_AS)
        assert (headers["X-Token-Expire"], headers["X-TenantSpaceID"]) == ("600", "north")
