"""A metadata database with runs of syncs, and Airflow's own API server before it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from airflow_provider_cc.compat import UI_HAS_PAGES
from tests.conftest import CHECKOUT

collect_ignore_glob = [] if UI_HAS_PAGES else ["test_page*.py"]

USERS = ("admin", "north", "clerk")


class Server:
    """Airflow's API server.

    :param url: where it is
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def token(self, user: str) -> str:
        """Sign a user in."""
        reply = requests.post(f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=60)
        return str(reply.json()["access_token"])

    def get(self, path: str, user: str | None = None, **parameters: Any) -> Any:
        """Ask for something below the page, as the browser does: with a cookie."""
        cookies = {} if user is None else {"_token": self.token(user)}
        return requests.get(
            f"{self.url}/contact_center_sync{path}", params=parameters, cookies=cookies, timeout=60
        )


@pytest.fixture
def metadata(_metadata_database: Path) -> ModuleType:
    """Give the metadata database of this process, without a run yet."""
    from tests.ui import metadata

    metadata.clear()
    return metadata


@pytest.fixture(scope="module")
def server(_metadata_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Let Airflow's API server run on the metadata database, below a path as behind a proxy."""
    from scripts.airflow_home import AirflowHome

    directory = tmp_path_factory.mktemp("airflow")
    passwords = directory / "passwords.json"
    passwords.write_text(json.dumps({user: user for user in USERS}))
    airflow = AirflowHome(
        directory,
        {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_metadata_database}?timeout=60",
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.ui.per_dag_auth_manager.PerDagAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,north:viewer,clerk:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
        },
    )
    with airflow.standalone("api-server", path="/behind/a/proxy"):
        airflow.wait_for_web()
        yield Server(f"http://127.0.0.1:{airflow.port}/behind/a/proxy")
