"""A pytest plugin; enable it in a test: `pytest_plugins = ["airflow_provider_cc.simulator.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_cc.simulator import Settings, Simulator


@pytest.fixture
def cc_settings() -> Settings:
    """Return the settings of `cc_simulator`; a test module or class can override this fixture."""
    return Settings()


@pytest.fixture
def cc_simulator(cc_settings: Settings) -> Iterator[Simulator]:
    """Run one contact center per test."""
    with Simulator(cc_settings) as simulator:
        yield simulator
