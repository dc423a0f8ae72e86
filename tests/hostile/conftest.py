"""How much is tried: little in a normal run, much by HYPOTHESIS_PROFILE=long, which `make test-hard` sets."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.hooks.conftest import (  # noqa: F401 - fixtures
    _own_environment,
    _short_waits,
    connect,
    logged,
    serve,
    start,
)
from tests.transfers.conftest import (  # noqa: F401 - fixtures
    database,
    log,
    make_center,
    mariadb_database,
    postgres_database,
    sqlite_database,
    sqlite_sync,
    sync,
)

# Times are bounded by the tests' own limits, and a shared machine is no reason to fail.
COMMON = settings(
    deadline=None,
    database=None,  # nothing is left in the checkout
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.register_profile("fast", COMMON, max_examples=40, derandomize=True)
settings.register_profile("long", COMMON, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
