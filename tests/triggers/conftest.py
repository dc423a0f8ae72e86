"""A contact centre over TLS for the triggers."""

from __future__ import annotations

from tests.operators.conftest import centre, connect, make_centre  # noqa: F401 - fixtures
from tests.sensors.conftest import _hasty  # noqa: F401 - fixture
