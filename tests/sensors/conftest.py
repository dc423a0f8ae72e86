"""A contact center over TLS and databases for the sensors."""

from __future__ import annotations

import pytest

from airflow_provider_cc.hooks import transport
from tests.operators.conftest import center, connect, make_center  # noqa: F401 - fixtures
from tests.transfers.conftest import (  # noqa: F401 - fixtures
    database,
    mariadb_database,
    postgres_database,
    snowflake_database,
    sqlite_database,
    sqlite_sync,
    sync,
)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for a hook's own tries."""
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.001)
