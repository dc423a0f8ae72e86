"""The DAGs that check sign-ins, run by Airflow against a contact center over TLS."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import AirflowHome

MakeAirflow = Callable[..., AirflowHome]

pytestmark = pytest.mark.xdist_group("example_dags")  # one Airflow for all of them


def test_softphones_are_checked_and_seats_given_back(center: Simulator, example_dags: MakeAirflow) -> None:
    agents = [center.agent(account) for account in center.accounts(limit=2)]
    second = {
        "conn_type": "cc_agent",
        "login": str(agents[1].agent_id),
        "password": agents[1].agent_password,
        "extra": {"phone_number": agents[1].softphone_number},
    }
    airflow = example_dags(center, extra={"AIRFLOW_CONN_SECOND": json.dumps(second)})

    run = airflow.run_dag("cc_check_softphones", {"agent_conn_ids": ["cc_agent_default", "second"]})

    assert run.state == "success", run.log
    for index, agent in enumerate(agents):
        told = run.xcoms["check_softphone", index]
        assert (told["agent_id"], told["softphone_number"]) == (agent.agent_id, agent.softphone_number)
    assert center.signed_in_agents() == []
    assert not [secret for secret in center.secrets() if secret in run.log]
    assert not [agent for agent in agents if agent.agent_password in run.log]


def test_isales_session(center: Simulator, example_dags: MakeAirflow) -> None:
    run = example_dags(center).run_dag("cc_isales_session")

    assert run.state == "success", run.log
    told = run.xcoms["sign_in", -1]
    assert told["conn_id"] == "cc_isales_default"
    assert told["expires_at"]
    assert not [secret for secret in center.secrets() if secret in run.log + json.dumps(told)]
