"""A contact center over TLS for the operators, and what they say when they are run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Settings, Simulator

MakeCenter = Callable[..., Simulator]
#: Makes a connection known to Airflow.
Connect = Callable[..., str]


@pytest.fixture
def make_center(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCenter]:
    """Start contact centers over TLS and tell Airflow of the latest one."""
    running: list[Simulator] = []

    def make(**settings: Any) -> Simulator:
        settings = {"agents": 12, "seed": 7, "cert_dir": certificates, "record": True, **settings}
        settings.setdefault("count_accounts", True)
        center = Simulator(Settings(**settings)).start()
        running.append(center)
        for name, value in center.environment().items():
            monkeypatch.setenv(name, value)
        return center

    yield make
    for center in running:
        center.stop()


@pytest.fixture
def center(make_center: MakeCenter) -> Simulator:
    """Give a contact center of twelve agents."""
    return make_center()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make connections of type ``cc_agent``, or change others."""

    def make(conn_id: str, **fields: Any) -> str:
        fields = {"conn_type": "cc_agent", **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return make


def assert_no_secret(center: Simulator, *texts: object) -> None:
    """Insist that nothing that opens a door is in any of the texts."""
    agents = [center.agent(account) for account in center.accounts()]
    secrets = {
        value for agent in agents for value in (agent.password, agent.agent_password, agent.sip_password)
    }
    for text in map(str, texts):
        assert not [secret for secret in {*secrets, *center.secrets()} if secret and secret in text]
