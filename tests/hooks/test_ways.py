"""An extra means the same in whichever way it came into Airflow."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
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

READ = """
import json, sys
from airflow.models import Connection
from airflow_provider_cc.hooks.management import CCManagementHook
CCManagementHook.get_connection = staticmethod(Connection.get_connection_from_secrets)
names, *conn_ids = sys.argv[1:]
found = {}
for conn_id in conn_ids:
    hook = CCManagementHook(conn_id)
    found[conn_id] = {name: getattr(hook.settings, name) for name in names.split()}
    found[conn_id]["headers"] = {**hook._sign_in_call().headers, **hook._headers(None)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Mapping[str, Any]:
    """Put the same connection into one Airflow in every way; return what a hook reads of each."""
    directory = tmp_path_factory.mktemp("ways")
    airflow = AirflowHome(
        directory / "airflow", {f"AIRFLOW_CONN_{name.upper()}": value for name, value in ENVIRONMENT.items()}
    )
    airflow.migrate(template=migrated_database)
    for conn_id, options in COMMAND_LINE.items():
        airflow.airflow("connections", "add", conn_id, *options)
    file = directory / "connections.json"
    file.write_text(json.dumps(IMPORTED))
    airflow.airflow("connections", "import", str(file))
    done = subprocess.run(
        [airflow.python, "-c", READ, " ".join(READ_AS), *ENVIRONMENT, *COMMAND_LINE, *IMPORTED],
        cwd=CHECKOUT,
        env=airflow.environment | {"PYTHONPATH": os.fspath(CHECKOUT)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", [*ENVIRONMENT, *COMMAND_LINE, *IMPORTED])
def test_an_extra_means_the_same(way: str, read: Mapping[str, Any]) -> None:
    found = dict(read[way])
    headers = found.pop("headers")

    assert found == READ_AS
    assert (headers["X-Token-Expire"], headers["X-TenantSpaceID"]) == ("600", "north")
