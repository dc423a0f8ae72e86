"""A contact center, and the databases that dbt is run on."""

from tests.transfers.conftest import (  # noqa: F401 - fixtures
    center,
    database,
    make_center,
    postgres_database,
    sync,
)
