"""A refused credential rests for a day, for whoever has it and wherever; another one is sent at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCError
from airflow_provider_cc.hooks import quarantine
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import PLAIN, TASKS, TOKEN, at_once, http, in_threads, info, says
from tests.hooks.test_sign_ins import SYSTEMS

EVERY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)
#: In the UI the test of a connection knows it by an id of its own.
OTHER_IDS = pytest.mark.parametrize("conn_id", ["cc_management_default", "another_id"])


class WallClock:
    """The clock that marks go by."""

    ahead = timedelta()

    def time(self):
        return time.time() + self.ahead.total_seconds()


@pytest.fixture
def wall(monkeypatch):
    wall = WallClock()
    monkeypatch.setattr(quarantine, "time", wall)
    return wall


def in_64_threads(hook, calls):
    return in_threads(hook, calls, 64)


def refused(system="management", make=None):
    """Make a call as a new task would; return how it is refused."""
    hook, call, _, _ = SYSTEMS[system]
    if make is not None:
        results = make(hook(), [call() for _ in range(64)])
        assert {type(result) for result in results} <= {CCAuthError, type(results[0])}
        return results[0]
    with pytest.raises(CCAuthError) as caught:
        hook().send(call())
    return caught.value


def the_mark(variables):
    ((name, value),) = variables.all("cc_refused__").items()
    return name, json.loads(value)


# What puts it to rest


@EVERY_SYSTEM
@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_wrong_password_is_sent_by_the_first_task_alone(cc, reconnect, system, status):
    cc.settings.refused_status = status
    reconnect(f"cc_{system}_default", password="wrong")
    assert refused(system).code != "at_rest"
    assert [refused(system).code for _ in range(3)] == ["at_rest"] * 3
    assert cc.stats.requests() == 1


@EVERY_SYSTEM
@pytest.mark.parametrize("make", [in_64_threads, at_once])
def test_64_at_a_time_send_it_once_and_in_the_next_task_not_at_all(cc, reconnect, system, make):
    reconnect(f"cc_{system}_default", password="wrong")
    assert refused(system, make).code != "at_rest"
    assert refused(system, make).code == "at_rest"
    assert cc.stats.requests() == 1


@pytest.mark.parametrize("code", ["107-003", "100-004", "100-020", "110-016", "100-001", "999-999"])
def test_whatever_code_refuses_it_at_the_gateway(serve, connect, code):
    server = serve(says(http(b'{"retcode":"%s","message":""}' % code.encode())))
    connect("cc_gateway_default", PLAIN, conn_type="cc_gateway", login="101", port=server.port)
    assert refused("gateway").code == code
    assert refused("gateway").code == "at_rest"
    assert server.connections == 1


@EVERY_SYSTEM
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("make", [None, in_64_threads, at_once])
def test_sessions_that_are_refused_before_they_ever_worked(cc, system, status, make):
    cc.faults.errors, cc.faults.only = {status: 1.0}, {SYSTEMS[system][2]}
    assert refused(system, make).code == f"HTTP {status}"
    assert refused(system, make).code == "at_rest"
    assert cc.stats.sign_ins() == 1


@EVERY_SYSTEM
def test_an_address_off_the_allow_list(cc, system):
    cc.settings.allow_listed = False
    refused(system)
    assert "this machine's address is not on the allow-list" in str(refused(system))
    assert cc.stats.requests() == 1


@EVERY_SYSTEM
@OTHER_IDS
def test_a_test_of_the_connection_heeds_the_mark_and_leaves_one(cc, reconnect, connect, system, conn_id):
    hook = SYSTEMS[system][0]
    wrong = {**cc.connections()[f"cc_{system}_default"], "password": "wrong"}
    for name in (conn_id, f"cc_{system}_default"):
        connect(name, wrong)
    results = [hook(conn_id).test_connection() for _ in range(3)]
    assert [ok for ok, _ in results] == [False] * 3
    assert "at_rest" in results[1][1]
    assert refused(system).code == "at_rest"
    assert cc.stats.requests() == 1


def test_an_agents_password_at_the_gateway(cc, gateway, connect):
    agent = cc.agent("agent000000")
    for _ in range(3):
        with pytest.raises(CCAuthError), gateway.agent_session(agent.agent_id, "wrong", "1"):
            raise AssertionError("signed in")
    assert (cc.stats.refused("agent"), cc.stats.requests()) == (1, 1)
    with gateway.agent_session(agent.agent_id, agent.agent_password, "1"):
        pass


def test_a_locked_agent(cc, gateway):
    agent = cc.lock_agent("agent000000")
    for said in ("100-020", "at_rest"):
        with (
            pytest.raises(CCAuthError, match=said),
            gateway.agent_session(agent.agent_id, agent.password, "1"),
        ):
            raise AssertionError("signed in")
    assert cc.stats.requests() == 1


def test_an_agent_whose_polls_are_refused_from_the_first_on(cc, gateway):
    agent = cc.agent("agent000000")
    cc.faults.errors, cc.faults.only = {401: 1.0}, {"agentevent"}
    for said in ("HTTP 401", "at_rest"):
        with (
            pytest.raises(CCAuthError, match=said),
            gateway.agent_session(agent.agent_id, agent.password, "1"),
        ):
            raise AssertionError("signed in")
    assert cc.stats.sign_ins("agent") == 1


def test_a_seat_that_is_taken_says_nothing_of_the_password(cc, gateway, variables):
    agent = cc.agent("agent000000")
    with gateway.agent_session(agent.agent_id, agent.password, "1"):
        for _ in range(2):
            with (
                pytest.raises(CCAuthError, match="100-002"),
                gateway.agent_session(agent.agent_id, agent.password, "2"),
            ):
                raise AssertionError("signed in")
    assert variables.all() == {}


def test_the_user_of_the_user_name_scenario(cc, management):
    for said in ("HTTP 403", "at_rest", "at_rest"):
        with pytest.raises(CCAuthError, match=said):
            management.query_agent_info("agent000000", username=cc.settings.user_name, password="wrong")
    assert cc.stats.requests() == 1
    management.query_agent_info(
        "agent000000", username=cc.settings.user_name, password=cc.settings.user_password
    )


def test_an_accounts_password_in_login_parameters(cc):
    asked = []
    for password in ("wrong", "wrong", cc.agent("agent000000").password):
        try:
            asked.append(CCManagementHook().query_agent_login_params("agent000000", password).account)
        except CCBusinessError as error:
            asked.append(error.code)
    assert asked == ["1", "at_rest", "agent000000"]
    assert cc.stats.requests("queryAgentLoginParams") == 2


# What does not


@EVERY_SYSTEM
def test_a_successful_sign_in_leaves_no_mark(cc, variables, system):
    hook, call, _, _ = SYSTEMS[system]
    hook().send(call())
    assert variables.all() == {}


@EVERY_SYSTEM
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_sign_in_without_a_usable_answer_is_no_refusal(cc, variables, system, status):
    hook, call, _, sign_in = SYSTEMS[system]
    cc.faults.errors, cc.faults.only = {status: 1.0}, {sign_in}
    with pytest.raises(CCError):
        hook().send(call())
    cc.faults.errors = {}
    hook().send(call())
    assert variables.all() == {}


@pytest.mark.parametrize("status", [401, 403])
def test_an_interface_that_is_refused_after_the_session_has_worked(cc, management, variables, status):
    management.send(info())
    cc.faults.errors, cc.faults.only = {status: 1.0}, {"agentAccount/query"}
    with pytest.raises(CCAuthError):
        list(management.query_agents())
    management.send(info())
    assert variables.all() == {}


@pytest.mark.parametrize("status", [401, 403])
def test_one_that_is_refused_just_when_the_session_was_renewed(cc, management, variables, status):
    management.send(info())
    cc.expire_sessions()
    cc.faults.errors, cc.faults.only = {status: 1.0}, {"agentAccount/query"}
    if status == 403:  # renewed in time, before the next call
        management.sessions.sign_in()
    with pytest.raises(CCAuthError):
        list(management.query_agents())
    management.send(info())
    assert variables.all() == {}


def test_a_session_that_lapses_and_is_renewed(cc, management, variables):
    management.send(info())
    cc.expire_sessions()
    management.send(info())
    assert variables.all() == {}


# What ends it


@EVERY_SYSTEM
def test_another_password_is_sent_at_once(cc, reconnect, system):
    hook, call, _, _ = SYSTEMS[system]
    reconnect(f"cc_{system}_default", password="wrong")
    refused(system)
    reconnect(f"cc_{system}_default", password="also wrong")
    assert refused(system).code != "at_rest"
    reconnect(f"cc_{system}_default")
    hook().send(call())
    assert cc.stats.sign_ins() == 1


def test_another_address_is_asked_at_once(cc, start, reconnect):
    reconnect("cc_management_default", password="wrong")
    refused()
    other = start(app_secret="wrong")
    CCManagementHook().send(info())
    assert other.stats.sign_ins() == 1


def test_an_extra_that_made_the_session_useless_is_corrected(cc, reconnect):
    cc.settings.isales_header = "Authorization"
    refused("isales")
    reconnect("cc_isales_default", extra={"token_header": "Authorization"})
    CCISalesHook().call(TASKS)
    assert cc.stats.sign_ins() == 2


@EVERY_SYSTEM
def test_it_is_lifted_by_the_command_that_the_error_names(cc, variables, system):
    hook, call, _, _ = SYSTEMS[system]
    cc.faults.refuse_sign_ins = {system}
    refused(system)
    (name,) = re.findall(r"airflow variables delete (\S+)$", str(refused(system)))
    cc.faults.refuse_sign_ins = set()
    assert refused(system).code == "at_rest"
    variables.delete(name)
    hook().send(call())


def test_without_the_key_all_are_lifted(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    refused()
    variables.delete(quarantine.KEY_VARIABLE)
    assert refused().code == "HTTP 403"
    assert refused().code == "at_rest"


@pytest.mark.parametrize(
    ("ahead", "rests"),
    [
        (timedelta(hours=23, minutes=59), True),
        (timedelta(hours=24, seconds=1), False),
        (-timedelta(hours=23), True),  # the clock was set back
        (-timedelta(hours=25), False),
        (-timedelta(days=365), False),
    ],
)
def test_after_a_day_it_is_sent_once_more_and_rests_again(cc, reconnect, wall, ahead, rests):
    reconnect("cc_management_default", password="wrong")
    refused()
    wall.ahead = ahead
    assert refused().code == ("at_rest" if rests else "HTTP 403")
    assert refused().code == "at_rest"
    assert cc.stats.requests() == (1 if rests else 2)


def test_an_hourly_task_sends_it_once_a_day(cc, reconnect, wall):
    reconnect("cc_management_default", password="wrong")
    for _ in range(72):
        refused()
        wall.ahead += timedelta(hours=1)
    assert cc.stats.requests() == 3


# What it says, and what it does not


def test_the_error_says_what_happened_since_when_and_what_to_do(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    refused()
    name, mark = the_mark(variables)
    error = refused()
    since = datetime.fromisoformat(mark["since"])
    assert abs(since - datetime.now(UTC)) < timedelta(minutes=1)
    assert (error.endpoint, error.code) == (TOKEN, "at_rest")
    assert (
        f"refused at {since:%Y-%m-%d %H:%M} UTC (HTTP 403, authentication failed, or this machine"
        in error.text
    )
    assert f"not sent again before {since + timedelta(hours=24):%Y-%m-%d %H:%M} UTC" in error.text
    assert error.text.endswith(f"airflow variables delete {name}")
    assert set(mark) == {"fingerprint", "since", "endpoint", "code"}


@EVERY_SYSTEM
def test_neither_secret_nor_fingerprint_nor_key_is_told(cc, reconnect, variables, logged, system):
    cc.settings.echo_secrets = True
    reconnect(f"cc_{system}_default", password="canary-oriole-61f0")
    errors = [refused(system), refused(system)]
    _, mark = the_mark(variables)
    key = variables[quarantine.KEY_VARIABLE]
    said = logged.text() + "".join(f"{error!r} {error}" for error in errors)
    assert "The credential rests until" in said
    for secret in ("canary-oriole-61f0", mark["fingerprint"], key):
        assert secret not in said
    stored = json.dumps(variables.all())
    assert "canary" not in stored


def test_a_fingerprint_is_worth_nothing_without_its_key(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    refused()
    before = the_mark(variables)[1]["fingerprint"]
    variables.delete()
    refused()
    assert the_mark(variables)[1]["fingerprint"] != before


def test_airflow_hides_the_key_for_its_name():
    try:
        from airflow.sdk._shared.secrets_masker import should_hide_value_for_key
    except ImportError:
        try:
            from airflow.sdk.execution_time.secrets_masker import should_hide_value_for_key
        except ImportError:
            from airflow.utils.log.secrets_masker import should_hide_value_for_key
    assert should_hide_value_for_key(quarantine.KEY_VARIABLE)
    assert not should_hide_value_for_key("cc_refused__0123456789abcdef")


# Where Variables fail


def test_without_variables_the_rules_within_a_task_hold_and_a_warning_is_logged(
    cc, reconnect, variables, logged
):
    reconnect("cc_management_default", password="wrong")
    hook = CCManagementHook()
    with variables.away():
        for _ in range(2):
            assert {error.code for error in at_once(hook, [info()] * 64)} == {"HTTP 403"}
        assert refused().code == "HTTP 403"
    assert cc.stats.requests() == 2
    assert f"Variable {quarantine.KEY_VARIABLE} cannot be written (OperationalError)" in logged.text()


@pytest.mark.parametrize("get", [RuntimeError("password"), None])
def test_a_failing_store_fails_no_task(cc, management, monkeypatch, logged, get):
    def fail(*_):
        raise get or TimeoutError

    monkeypatch.setattr(quarantine.variables, "get_variable", fail)
    management.send(info())
    assert "cannot be read" in logged.text()


@pytest.mark.parametrize(
    "garbage",
    [
        "garbage",
        "{}",
        "[]",
        "7",
        "[" * 5000,
        '{"fingerprint":1}',
        '{"fingerprint":"ä","since":"2026-11-22T03:00:00","endpoint":"e","code":"c"}',
    ],
)
def test_garbage_in_the_mark_is_not_heeded_and_overwritten(cc, reconnect, variables, garbage):
    reconnect("cc_management_default", password="wrong")
    refused()
    name, _ = the_mark(variables)
    variables[name] = garbage
    assert refused().code == "HTTP 403"
    assert refused().code == "at_rest"


def test_a_mark_cannot_forge_a_log_line(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    refused()
    name, mark = the_mark(variables)
    variables[name] = json.dumps({**mark, "endpoint": "a\nb", "code": "HTTP 403\n\x1b[1m"})
    assert re.search(r"[\x00-\x1f]", str(refused())) is None


@pytest.mark.parametrize("fingerprint", ["ä", ""])
def test_an_odd_fingerprint_is_another_one(cc, reconnect, variables, fingerprint):
    reconnect("cc_management_default", password="wrong")
    refused()
    name, mark = the_mark(variables)
    variables[name] = json.dumps({**mark, "fingerprint": fingerprint})
    assert refused().code == "HTTP 403"


# Across processes

TASK = """
from airflow_provider_cc.exceptions import CCAuthError
from airflow_provider_cc.hooks.management import CCManagementHook
try:
    CCManagementHook().query_agent_info("agent000000")
except CCAuthError as error:
    print("refused as", error.code)
"""


@pytest.mark.timeout(300)  # each of them starts an Airflow
def test_one_process_leaves_the_mark_for_the_next(cc, reconnect):
    reconnect("cc_management_default", password="wrong")
    # In its unit-test mode each process of Airflow has another key of its own.
    environment = {
        **os.environ,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
    }
    said = [
        subprocess.run(
            [sys.executable, "-c", TASK],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert "refused as HTTP 403" in said[0]
    assert "refused as at_rest" in said[1]
    assert cc.stats.requests() == 1
