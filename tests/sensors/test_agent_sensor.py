"""Poke after poke until an account is an agent: what ends the wait, what is borne, what fails or skips."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCResponseError,
    CCSignInUnavailable,
    CCTransientError,
)
from airflow_provider_cc.sensors.management import GRACE, CCAgentSensor
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.triggers.events import failure
from tests.operators.conftest import Connect, MakeCenter, assert_no_secret
from tests.operators.test_management import expected

INFO, TOKEN, DIRECTORY = "queryAgentInfoByAccount", "tokenByAkSk", "agentAccount/query"
NEW = "new.one"


def sensor(account_code: Any = NEW, **arguments: Any) -> CCAgentSensor:
    arguments = {"poke_interval": 0.01, "timeout": 30, "deferrable": False, **arguments}
    return CCAgentSensor(task_id="wait", account_code=account_code, **arguments)


def wait(account_code: Any = NEW, **arguments: Any) -> Any:
    return sensor(account_code, **arguments).execute({})


class Pokes(CCAgentSensor):
    """Lets something happen before each poke but the first, and counts them."""

    between: Callable[[int], object]
    pokes = 0

    def poke(self, context: Any) -> Any:
        if self.pokes:
            self.between(self.pokes)
        self.pokes += 1
        return super().poke(context)


def pokes(between: Callable[[int], object], account_code: str = NEW, **arguments: Any) -> Pokes:
    arguments = {"poke_interval": 0.01, "timeout": 30, "deferrable": False, **arguments}
    made = Pokes(task_id="wait", account_code=account_code, **arguments)
    made.between = between
    return made


def deferral(**arguments: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        wait(deferrable=True, **arguments)
    return caught.value


# What ends the wait


def test_an_agent_that_is_there_is_returned_at_once(center: Simulator) -> None:
    assert wait("agent000003") == expected(center, "agent000003")
    assert (center.stats.sign_ins(), center.stats.requests(INFO)) == (1, 1)


def test_waits_until_the_agent_is_there_in_one_session(center: Simulator) -> None:
    waiting = pokes(lambda number: number == 3 and center.add_agent(NEW))

    assert waiting.execute({}) == expected(center, NEW)
    assert waiting.pokes == 4
    assert (center.stats.sign_ins(), center.stats.requests()) == (1, 5)


def test_waits_until_the_agent_has_the_status(center: Simulator) -> None:
    center.change_agent("agent000003", agent_status="1")
    waiting = pokes(
        lambda number: number == 2 and center.change_agent("agent000003", agent_status="2"),
        "agent000003",
        agent_status="2",
    )

    assert waiting.execute({})["agent_status"] == "2"
    assert waiting.pokes == 3
    assert wait("agent000003", agent_status=2)["agent_status"] == "2"  # as a template may render it


def test_a_missing_account_may_be_declined_by_any_code(make_center: MakeCenter) -> None:
    """The manual has only one code for every failure, so the directory is asked what it was."""
    center = make_center(missing_account_code="1")
    waiting = pokes(lambda number: number == 2 and center.add_agent(NEW))

    assert waiting.execute({}) == expected(center, NEW)
    assert center.stats.requests(DIRECTORY) == 2


def test_a_session_that_lapses_between_pokes_is_renewed(center: Simulator) -> None:
    def between(number: int) -> None:
        center.expire_sessions()
        if number == 2:
            center.add_agent(NEW)

    assert pokes(between).execute({})
    assert center.stats.sign_ins() == 3


def test_the_result_is_free_of_secrets(center: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    row = pokes(lambda number: center.add_agent(NEW)).execute({})

    assert_no_secret(center, row, caplog.text)


def test_an_account_code_forges_no_log_line(center: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(AirflowSensorTimeout):
        wait("a\nERROR: all is lost", timeout=0)

    assert "is not an agent yet" in caplog.text
    assert not [line for line in caplog.text.splitlines() if line.startswith("ERROR: all")]


# What fails


@pytest.mark.parametrize("reply", [(200, {"returnCode": "1"}), (500, ""), (404, "")])
def test_a_listed_account_that_is_declined_fails(center: Simulator, reply: tuple[int, Any]) -> None:
    center.add_agent(NEW)
    center.faults.overrides = {NEW: reply}

    with pytest.raises(CCBusinessError, match=INFO):
        wait()


def test_what_is_no_answer_of_the_manual_fails(center: Simulator) -> None:
    center.faults.overrides = {NEW: (200, "<html>")}

    with pytest.raises(CCResponseError, match=INFO):
        wait()


def test_where_the_directory_cannot_say_the_code_stands(center: Simulator) -> None:
    center.faults.overrides = {NEW: (200, {"returnCode": "1"})}
    center.faults.errors, center.faults.only = {403: 1.0}, {DIRECTORY}

    with pytest.raises(CCBusinessError, match=INFO):
        wait()


@pytest.mark.parametrize("code", ["", "x" * 65, None, 7])
def test_a_bad_account_code_fails_before_anything_is_asked(center: Simulator, code: Any) -> None:
    with pytest.raises(ValueError, match="account_code"):
        wait(code)

    assert center.stats.requests(INFO) == 0


MODES: Any = pytest.mark.parametrize("mode", [{}, {"deferrable": True}, {"silent_fail": True}], ids=str)


@MODES
def test_a_refused_credential_fails_at_once_and_is_sent_once(center: Simulator, mode: dict[str, Any]) -> None:
    center.settings.app_secret = "another"

    with pytest.raises(CCAuthError):
        wait(**mode)

    assert (center.stats.refused(), center.stats.requests()) == (1, 1)


@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=str)
def test_an_incomplete_connection_fails_at_once(
    center: Simulator, connect: Connect, mode: dict[str, Any]
) -> None:
    connect("half", **{**center.connections()["cc_management_default"], "password": None})

    with pytest.raises(CCConfigError, match="app secret"):
        wait(cc_conn_id="half", **mode)


@pytest.mark.parametrize("name", ["soft_fail", "never_fail"])
def test_a_failure_skips_the_task_if_wanted(center: Simulator, name: str) -> None:
    center.settings.app_secret = "another"

    with pytest.raises(AirflowSkipException):
        wait(**{name: True})
    assert center.stats.refused() == 1


@pytest.mark.parametrize(("mode", "status"), [({}, 400), ({}, 503), ({"deferrable": True}, 500)], ids=str)
def test_soft_fail_skips_a_failed_call_in_every_mode(
    center: Simulator, mode: dict[str, Any], status: int
) -> None:
    center.faults.errors, center.faults.only = {status: 1.0}, {INFO, "agentAccount/query"}

    with pytest.raises(AirflowSkipException):
        wait(soft_fail=True, max_unanswered=0, **mode)


# What is in vain


def test_a_wait_in_vain_fails_or_skips_if_it_may(center: Simulator) -> None:
    with pytest.raises(AirflowSensorTimeout):
        wait(timeout=0)
    for name in ("soft_fail", "never_fail"):
        with pytest.raises(AirflowSkipException):
            wait(timeout=0, **{name: True})


# What is borne


def test_some_pokes_in_a_row_may_go_unanswered(center: Simulator) -> None:
    center.faults.only = {INFO}

    def between(number: int) -> None:
        # Two bad ones, a good one, two bad ones: never three in a row.
        center.faults.errors = {} if number in (3, 6) else {503: 1.0}
        if number == 6:
            center.add_agent(NEW)

    waiting = pokes(between, max_unanswered=2)

    assert waiting.execute({}) == expected(center, NEW)
    assert waiting.pokes == 7


def test_one_more_unanswered_poke_fails(center: Simulator) -> None:
    center.faults.errors, center.faults.only = {503: 1.0}, {INFO}
    waiting = pokes(lambda number: None, max_unanswered=2)

    with pytest.raises(CCTransientError, match="HTTP 503"):
        waiting.execute({})
    assert waiting.pokes == 3


def test_in_reschedule_mode_none_may(center: Simulator) -> None:
    center.faults.errors, center.faults.only = {503: 1.0}, {INFO}
    rescheduled = sensor(mode="reschedule")

    with pytest.raises(CCTransientError, match="HTTP 503"):
        rescheduled.poke({})


def test_a_credential_that_met_a_500_is_not_sent_again(center: Simulator) -> None:
    """Nobody knows what became of it: a locked account would be locked for longer."""
    center.faults.errors, center.faults.only = {500: 1.0}, {TOKEN}

    with pytest.raises(CCSignInUnavailable):
        wait()
    assert center.stats.requests(TOKEN) == 1


def test_a_center_that_is_down_at_sign_in_is_borne(center: Simulator) -> None:
    port = center.port
    center.stop()

    def between(number: int) -> None:
        if number == 1:
            center.settings.port = port
            center.start()
            center.add_agent(NEW)

    assert pokes(between).execute({}) == expected(center, NEW)


# Reschedule mode


def test_each_process_of_reschedule_mode_pokes_once(center: Simulator) -> None:
    assert not sensor(mode="reschedule").poke({})

    center.add_agent(NEW)
    found = sensor(mode="reschedule").poke({})
    assert (found.is_done, found.xcom_value) == (True, expected(center, NEW))
    assert center.stats.sign_ins() == 2


# Deferrable mode


def test_an_agent_that_is_there_is_not_waited_for_in_the_triggerer(center: Simulator) -> None:
    assert wait("agent000003", deferrable=True) == expected(center, "agent000003")


def test_defers_with_all_that_the_trigger_needs(center: Simulator) -> None:
    before = datetime.now(UTC)
    deferred = deferral(agent_status="1", poke_interval=7, timeout=100, max_unanswered=3)

    _, arguments = deferred.trigger.serialize()
    assert timedelta(seconds=99) < arguments.pop("ends_at") - before < timedelta(seconds=120)
    assert arguments == {
        "account_code": NEW,
        "agent_status": "1",
        "cc_conn_id": "cc_management_default",
        "poke_interval": 7,
        "max_unanswered": 3,
    }
    assert deferred.timeout == timedelta(seconds=100) + GRACE
    assert_no_secret(center, arguments, deferred.trigger)


def test_a_first_look_without_an_answer_defers(center: Simulator) -> None:
    center.faults.errors, center.faults.only = {503: 1.0}, {INFO}

    assert deferral().method_name == "execute_complete"


def come_back(event: dict[str, Any], **arguments: Any) -> Any:
    return sensor(deferrable=True, **arguments).resume_execution("execute_complete", {"event": event}, {})


def test_comes_back_with_the_agent(center: Simulator) -> None:
    row = expected(center, "agent000003")

    assert come_back({"agent": row}) == row


@pytest.mark.parametrize(
    "error",
    [
        CCAuthError(TOKEN, "HTTP 403", "no"),
        CCConfigError("connection 'x': no"),
        CCBusinessError(INFO, "1", "no"),
        CCTransientError(INFO, "HTTP 429", "later", 429, 7.0),
        CCResponseError(INFO, "unexpected_format", "no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_comes_back_with_the_very_failure(error: Any) -> None:
    with pytest.raises(type(error)) as caught:
        come_back(failure(error))
    assert (type(caught.value), caught.value.args) == (type(error), error.args)

    for name in ("soft_fail", "never_fail"):
        with pytest.raises(AirflowSkipException):
            come_back(failure(error), **{name: True})


def test_comes_back_in_vain() -> None:
    with pytest.raises(AirflowSensorTimeout, match=NEW):
        come_back({"agent": None})
    for name in ("soft_fail", "never_fail"):
        with pytest.raises(AirflowSkipException):
            come_back({"agent": None}, **{name: True})


def test_deferrable_by_configuration_default() -> None:
    assert CCAgentSensor(task_id="wait", account_code=NEW).deferrable is False
