"""A contact center to be bent, and a doctor that is watched while it examines a connection to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_cc.doctor.diagnosis import diagnose
from airflow_provider_cc.doctor.report import report
from airflow_provider_cc.doctor.table import table
from airflow_provider_cc.simulator import Simulator
from tests.doctor.support import SIGN_INS, Examined
from tests.hooks.conftest import (  # noqa: F401 - fixtures
    _own_environment,
    _short_waits,
    connect,
    logged,
    reconnect,
    serve,
    start,
)


@pytest.fixture
def cc(start: Callable[..., Simulator]) -> Simulator:  # noqa: F811
    """A contact center of 250 agents that keeps every request."""
    return start(agents=250, record=True)


@pytest.fixture
def examine(request: pytest.FixtureRequest) -> Callable[..., Examined]:
    """Examine a connection; no examination may send a credential twice."""

    def examine(conn_id: str = "cc_management_default", save_ca: Path | None = None) -> Examined:
        cc: Simulator | None = request.node.funcargs.get("cc")
        before = len(cc.stats.recorded) if cc is not None else 0
        findings, exam = diagnose(conn_id, save_ca)
        if cc is not None:
            asked = cc.stats.recorded[before:]
            assert sum(one.endpoint in SIGN_INS and one.method != "GET" for one in asked) <= 1
        return Examined(
            {finding.check: finding for finding in findings},
            table(findings),
            report(findings, exam),
        )

    return examine
