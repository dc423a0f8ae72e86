"""A pytest plugin; name it in a test: `pytest_plugins = ["airflow_provider_cc.simulator.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_cc.simulator import Settings, Simulator


@pytest.fixture
def cc_settings() -> Settings:
    """Set up `cc_simulator`; define a fixture of this name in a test module or class to choose another."""
    return Settings()


@pytest.fixture
def cc_simulator(cc_settings: Settings) -> Iterator[Simulator]:
    """Run a contact centre of its own for each test."""
    with Simulator(cc_settings) as simulator:
        yield simulator
