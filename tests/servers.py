"""What takes longer to start than a test takes: each worker starts it once, when a test first needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.mariadb import mariadb
from scripts.postgres import postgres
from scripts.snowflake import snowflake


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which contact centers keep their certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def postgres_connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as connection:
        yield json.loads(connection)


@pytest.fixture(scope="session")
def mariadb_connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with mariadb(tmp_path_factory.mktemp("mariadb") / "server") as connection:
        yield json.loads(connection)


@pytest.fixture(scope="session")
def snowflake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with (
        snowflake(tmp_path_factory.mktemp("snowflake")) as answer,
        pytest.MonkeyPatch.context() as environment,
    ):
        server = json.loads(answer)
        environment.setenv("REQUESTS_CA_BUNDLE", server["authority"])
        yield server
