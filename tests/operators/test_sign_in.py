"""The operators that sign in: to configuration, to iSales, as an agent."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCConfigError
from airflow_provider_cc.operators.gateway import CCConfigLoginOperator, CCQueryLoginInfoOperator
from airflow_provider_cc.operators.isales import CCISalesLoginOperator
from airflow_provider_cc.simulator import Simulator
from tests.operators.conftest import Connect, MakeCenter, assert_no_secret

SIGN_INS = [
    (CCConfigLoginOperator, "gateway", "cc_gateway_default"),
    (CCISalesLoginOperator, "isales", "cc_isales_default"),
]


@pytest.mark.parametrize(("operator", "system", "conn_id"), SIGN_INS)
def test_a_sign_in_says_when_it_ends_and_not_what_it_opens(
    center: Simulator, operator: Any, system: str, conn_id: str
) -> None:
    row = operator(task_id="t").execute({})

    assert set(row) == {"conn_id", "signed_in_at", "expires_at", "shared"}
    assert (row["conn_id"], row["shared"]) == (conn_id, False)
    assert datetime.fromisoformat(row["signed_in_at"]).tzinfo is not None
    assert json.loads(json.dumps(row)) == row
    assert_no_secret(center, row)
    assert center.stats.sign_ins(system) == center.stats.requests() == 1


def test_isales_says_how_long_its_token_lives(make_center: MakeCenter) -> None:
    make_center(isales_token_lifetime=500)

    row = CCISalesLoginOperator(task_id="t").execute({})

    begun, ends = (datetime.fromisoformat(row[name]) for name in ("signed_in_at", "expires_at"))
    assert (ends - begun).total_seconds() == 500


def test_nobody_says_how_long_a_config_guid_lives(center: Simulator) -> None:
    assert CCConfigLoginOperator(task_id="t").execute({})["expires_at"] is None


@pytest.mark.parametrize(("operator", "system", "conn_id"), SIGN_INS)
def test_a_wrong_password_is_sent_once(
    center: Simulator, connect: Connect, operator: Any, system: str, conn_id: str
) -> None:
    known = center.connections()[conn_id]
    connect(conn_id, **{**known, "password": "WrongPass-lilac-gorge"})

    with pytest.raises(CCAuthError) as caught:
        operator(task_id="t").execute({})

    assert "WrongPass-lilac-gorge" not in str(caught.value)
    assert (center.stats.refused(system), center.stats.requests()) == (1, 1)


@pytest.mark.parametrize(("operator", "system", "conn_id"), SIGN_INS)
def test_a_missing_password_is_named_before_anything_is_asked(
    center: Simulator, connect: Connect, operator: Any, system: str, conn_id: str
) -> None:
    known = center.connections()[conn_id]
    connect(conn_id, **{**known, "password": None})

    with pytest.raises(CCConfigError, match="password"):
        operator(task_id="t").execute({})

    assert center.stats.requests() == 0


@pytest.mark.parametrize("login", ["0", "admin"])
def test_an_administrator_id_below_1_is_refused_before_anything_is_asked(
    center: Simulator, connect: Connect, login: str
) -> None:
    known = center.connections()["cc_gateway_default"]
    connect("cc_gateway_default", **{**known, "login": login})

    with pytest.raises((ValueError, CCConfigError)):
        CCConfigLoginOperator(task_id="t").execute({})

    assert center.stats.requests() == 0


def test_a_vdn_account_signs_in_to_configuration(center: Simulator, connect: Connect) -> None:
    known = center.connections()["cc_gateway_default"]
    settings = center.settings
    connect("vdn", **{**known, "login": str(settings.vdn_account), "password": settings.vdn_password})

    assert CCConfigLoginOperator(task_id="t", cc_conn_id="vdn").execute({})["conn_id"] == "vdn"


# An agent's login information


def login_info(**arguments: Any) -> dict[str, Any]:
    arguments = {"agent_conn_id": "cc_agent_default", **arguments}
    return CCQueryLoginInfoOperator(task_id="t", **arguments).execute({})


def test_the_softphone_of_an_agent(center: Simulator) -> None:
    agent = center.agent("agent000000")

    row = login_info()

    assert row == {"agent_id": agent.agent_id, "softphone_number": agent.softphone_number}
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("settings", [{"authmode": 1}, {"authmode": 2}, {"guid_from_poll_only": True}])
def test_the_seat_is_free_again_afterwards(make_center: MakeCenter, settings: dict[str, Any]) -> None:
    center = make_center(**settings)

    login_info()

    assert center.signed_in_agents() == []
    assert (center.stats.sign_ins("agent"), center.stats.sign_outs) == (1, 1)


def test_an_agent_without_password_is_signed_in(center: Simulator, connect: Connect) -> None:
    agent = center.change_agent("agent000000", agent_password="")
    connect("empty", login=str(agent.agent_id), password="", extra={"phone_number": "88880001"})

    assert login_info(agent_conn_id="empty")["softphone_number"] == "88880001"


def test_no_administrator_is_needed(center: Simulator, connect: Connect) -> None:
    known = center.connections()["cc_gateway_default"]
    connect("no_admin", **{**known, "login": None, "password": None})

    assert login_info(cc_conn_id="no_admin")["agent_id"] == center.agent("agent000000").agent_id
    assert center.stats.sign_ins("gateway") == 0


def test_a_failing_question_signs_out_nevertheless(center: Simulator) -> None:
    center.faults.errors, center.faults.only = {500: 1.0}, {"logininfo"}

    with pytest.raises(CCBusinessError, match="logininfo"):
        login_info()

    assert center.signed_in_agents() == []


def test_a_missing_phone_number_is_named_before_anything_is_asked(
    center: Simulator, connect: Connect
) -> None:
    connect("no_phone", login="10001", password="p")

    with pytest.raises(CCConfigError, match=r"'no_phone'.*phone_number"):
        login_info(agent_conn_id="no_phone")

    assert center.stats.requests() == 0


@pytest.mark.parametrize("login", ["100", "1000000", "agent000000", "-5"])
def test_an_agent_id_out_of_range_is_refused_before_anything_is_asked(
    center: Simulator, connect: Connect, login: str
) -> None:
    connect("bad", login=login, password="p", extra={"phone_number": "1"})

    with pytest.raises(ValueError, match="101 to 999999"):
        login_info(agent_conn_id="bad")

    assert center.stats.requests() == 0


def test_a_wrong_agent_password_is_sent_once(center: Simulator, connect: Connect) -> None:
    agent = center.agent("agent000000")
    connect("wrong", login=str(agent.agent_id), password="x", extra={"phone_number": agent.softphone_number})

    with pytest.raises(CCAuthError):
        login_info(agent_conn_id="wrong")

    assert center.stats.requests() == 1


def test_a_locked_agent_is_tried_once(center: Simulator) -> None:
    center.lock_agent("agent000000")

    with pytest.raises(CCAuthError):
        login_info()

    assert center.stats.requests() == 1


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (CCConfigLoginOperator, {}),
        (CCISalesLoginOperator, {}),
        (CCQueryLoginInfoOperator, {"agent_conn_id": "nowhere"}),
    ],
)
def test_constructing_does_nothing(kind: Any, arguments: dict[str, Any]) -> None:
    kind(task_id="t", cc_conn_id="nowhere", **arguments)
