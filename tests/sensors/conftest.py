"""A contact centre over TLS for the sensors, and DAGs to run them in."""

from __future__ import annotations

import pytest

from airflow_provider_cc.hooks import retries
from tests.operators.conftest import centre, certificates, connect, make_centre  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for a hook's own tries."""
    monkeypatch.setattr(retries, "FIRST_BACK_OFF", 0.001)
