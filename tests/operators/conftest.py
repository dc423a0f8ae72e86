"""A contact centre over TLS for the operators, and what they say when they are run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cc.simulator import Settings, Simulator

MakeCentre = Callable[..., Simulator]
#: Makes a connection known to Airflow.
Connect = Callable[..., str]


@pytest.fixture
def make_centre(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCentre]:
    """Start contact centres over TLS and tell Airflow of the latest one."""
    running: list[Simulator] = []

    def make(**settings: Any) -> Simulator:
        settings = {"agents": 12, "seed": 7, "cert_dir": certificates, "record": True, **settings}
        settings.setdefault("count_accounts", True)
        centre = Simulator(Settings(**settings)).start()
        running.append(centre)
        for name, value in centre.environment().items():
            monkeypatch.setenv(name, value)
        return centre

    yield make
    for centre in running:
        centre.stop()


@pytest.fixture
def centre(make_centre: MakeCentre) -> Simulator:
    """Give a contact centre of twelve agents."""
    return make_centre()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make connections of type ``cc_agent``, or change others."""

    def make(conn_id: str, **fields: Any) -> str:
        fields = {"conn_type": "cc_agent", **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return make


def assert_no_secret(centre: Simulator, *texts: object) -> None:
    """Insist that nothing that opens a door is in any of the texts."""
    agents = [centre.agent(account) for account in centre.accounts()]
    secrets = {
        value for agent in agents for value in (agent.password, agent.agent_password, agent.sip_password)
    }
    for text in map(str, texts):
        assert not [secret for secret in {*secrets, *centre.secrets()} if secret and secret in text]
