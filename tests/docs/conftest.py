"""A contact center, databases and connections as the documentation presumes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from airflow_provider_cc.hooks import transport
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import (  # noqa: F401 - fixtures
    MakeCenter,
    database,
    make_center,
    mariadb_database,
    postgres_database,
    snowflake_database,
    sqlite_database,
    sqlite_sync,
    sync,
)
from tests.transfers.database import Database


@pytest.fixture
def center(make_center: MakeCenter) -> Simulator:  # noqa: F811
    """Give a contact center with the agents that the pages name."""
    return make_center(40)


@pytest.fixture
def surroundings(
    center: Simulator,
    sqlite_database: Database,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Database]:
    """Give what snippets find: connections, a table of accounts, mounted passwords; return the warehouse."""
    agents = [center.agent(account) for account in center.accounts(limit=3)]
    connections = {
        "warehouse": dict(sqlite_database.connection),
        "cc_north": center.connections()["cc_management_default"],
        "cc_south": center.connections()["cc_management_default"],
        "cc_passwords": {
            "conn_type": "generic",
            "password": json.dumps({agent.account: agent.password for agent in agents}),
        },
        **{
            f"cc_agent_{name}": {"conn_type": "cc_agent", "login": agent.account, "password": agent.password}
            for name, agent in zip(("ann", "bob"), agents[1:], strict=True)
        },
    }
    sqlite_database.execute("CREATE TABLE cc_account (account VARCHAR(64))")
    sqlite_database.execute(
        "INSERT INTO cc_account VALUES (:account)",
        rows=[{"account": account} for account in center.accounts()],
    )
    folder = tmp_path / "secrets" / "agents"
    folder.mkdir(parents=True)
    for agent in agents:
        (folder / agent.account).write_text(f"{agent.password}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.01)
    with mock.patch.dict(os.environ):  # a snippet may add to it
        for conn_id, connection in connections.items():
            os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
        yield sqlite_database
