"""A contact center over TLS for the triggers."""

from __future__ import annotations

from tests.operators.conftest import center, connect, make_center  # noqa: F401 - fixtures
from tests.sensors.conftest import _hasty  # noqa: F401 - fixture
