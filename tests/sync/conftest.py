"""Databases for the sync."""

from __future__ import annotations

import json

import pytest

from tests.transfers.conftest import (  # noqa: F401 - fixtures
    database,
    postgres_connection,
    postgres_database,
    sqlite_database,
)
from tests.transfers.database import Database


@pytest.fixture
def warehouse(database: Database, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    """Tell Airflow of an empty database of each kind; return the connection's id."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(dict(database.connection)))
    return "warehouse"
