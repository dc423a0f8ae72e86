"""A simulated contact center for development and tests: all interfaces of the manual on one local port.

    from airflow_provider_cc.simulator import Faults, Settings, Simulator

    with Simulator(Settings(agents=1000, seed=7), faults=Faults(latency=0.05)) as cc:
        print(cc.url, cc.environment())

It is written from the manual and shares no code with the client, so that each can reveal the other's
mistakes. From a shell: `python -m airflow_provider_cc.simulator --help`.
"""

from __future__ import annotations

from airflow_provider_cc.simulator.faults import Faults
from airflow_provider_cc.simulator.population import Agent
from airflow_provider_cc.simulator.settings import Settings
from airflow_provider_cc.simulator.simulator import Simulator
from airflow_provider_cc.simulator.statistics import RecordedRequest, Statistics

__all__ = ["Agent", "Faults", "RecordedRequest", "Settings", "Simulator", "Statistics"]
