"""Only a verdict on the credential blocks it: for minutes, then longer, for anyone who has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from airflow.configuration import conf

from airflow_provider_cc import compat
from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCError, CCSignInUnavailable
from airflow_provider_cc.hooks import lockout
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.lockout import Credential, Lockout
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import (
    EVERY_SYSTEM,
    PLAIN,
    SYSTEMS,
    TASKS,
    TOKEN,
    at_once,
    http,
    in_threads,
    info,
    says,
)

MINUTES = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]


class WallClock:
    """The clock of blocks."""

    ahead = timedelta()

    def time(self):
        return time.time() + self.ahead.total_seconds()


@pytest.fixture
def wall(monkeypatch):
    wall = WallClock()
    monkeypatch.setattr(lockout, "time", wall)
    return wall


def rejected(system="management"):
    """Make a call as a new task would; return how it fails."""
    hook, call, _, _ = SYSTEMS[system]
    with pytest.raises(CCAuthError) as caught:
        hook().send(call())
    return caught.value


def the_block(variables):
    ((name, value),) = variables.all("cc_blocked__").items()
    (entry,) = json.loads(value).values()
    return name, entry


# A verdict


@pytest.mark.parametrize(
    ("system", "status"),
    [
        *(("management", status) for status in (200, 401, 403)),
        *(("isales", status) for status in (200, 401, 403)),
        ("gateway", 200),  # which it says by a code of its own
    ],
)
def test_a_wrong_password_is_sent_by_the_first_task_alone(cc, reconnect, system, status):
    cc.settings.refused_status = status
    reconnect(f"cc_{system}_default", password="wrong")
    assert rejected(system).code != "blocked"
    assert [rejected(system).code for _ in range(2)] == ["blocked"] * 2
    assert cc.stats.requests() == 1


@pytest.mark.parametrize("code", ["107-003", "100-004", "100-020", "110-016"])
def test_each_code_of_the_gateway_that_is_a_verdict(serve, connect, code):
    server = serve(says(http(b'{"retcode":"%s","message":""}' % code.encode())))
    connect("cc_gateway_default", PLAIN, conn_type="cc_gateway", login="101", port=server.port)
    assert rejected("gateway").code == code
    assert rejected("gateway").code == "blocked"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("system", "reply", "code"),
    [
        ("management", b'{"error_code":"APIG.0301","error_msg":"wrong"}', "APIG.0301"),
        ("management", b'{"errorCode":7,"errorMsg":"wrong"}', "7"),
        ("management", b'{"resultCode":"1","resultDesc":"wrong"}', "1"),
        ("isales", b'{"result":1,"message":"wrong"}', "1"),
    ],
)
def test_an_error_inside_a_success_is_a_verdict_and_shows_its_text(serve, connect, system, reply, code):
    server = serve(says(http(reply)))
    hook = SYSTEMS[system][0]
    connect(hook.default_conn_name, PLAIN, conn_type=hook.conn_type, port=server.port)
    error = rejected(system)
    assert (error.code, error.text) == (code, "wrong")
    assert rejected(system).code == "blocked"
    assert server.connections == 1


@pytest.mark.parametrize("conn_id", ["cc_management_default", "another_id"])
def test_the_test_button_heeds_a_block_and_causes_one(cc, connect, conn_id):
    """It knows a connection by an id of its own."""
    wrong = {**cc.connections()["cc_management_default"], "password": "wrong"}
    for name in (conn_id, "cc_management_default"):
        connect(name, wrong)
    results = [CCManagementHook(conn_id).test_connection() for _ in range(2)]
    assert [ok for ok, _ in results] == [False] * 2
    assert "blocked" in results[1][1]
    assert rejected().code == "blocked"
    assert cc.stats.requests() == 1


def test_an_agents_password_at_the_gateway(cc, gateway):
    agent = cc.agent("agent000000")
    for _ in range(3):
        with pytest.raises(CCAuthError), gateway.agent_session(agent.agent_id, "wrong", "1"):
            raise AssertionError("signed in")
    assert (cc.stats.refused("agent"), cc.stats.requests()) == (1, 1)
    with gateway.agent_session(agent.agent_id, agent.agent_password, "1"):
        pass


def test_a_locked_agent_and_another_phone_number(cc, gateway):
    agent = cc.lock_agent("agent000000")
    for number, said in [("1", "100-020"), ("1", "blocked"), ("2", "100-020"), ("2", "blocked")]:
        with (
            pytest.raises(CCAuthError, match=said),
            gateway.agent_session(agent.agent_id, agent.password, number),
        ):
            raise AssertionError("signed in")
    assert cc.stats.requests() == 2


def test_the_user_of_the_user_name_scenario(cc, management):
    for said in ("HTTP 403", "blocked", "blocked"):
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
    assert asked == ["1", "blocked", "agent000000"]
    assert cc.stats.requests("queryAgentLoginParams") == 2


def test_one_store_for_connections_users_agents_and_accounts(cc, reconnect, gateway, variables):
    reconnect("cc_management_default", password="wrong")
    rejected()
    with pytest.raises(CCAuthError):
        CCManagementHook().query_agent_info("agent000000", username="user", password="wrong")
    reconnect("cc_management_default")
    with pytest.raises(CCBusinessError):
        CCManagementHook().query_agent_login_params("agent000000", "wrong")
    ((_, value),) = variables.all("cc_blocked__").items()
    # The success of the app secret has cleared its own entry.
    assert len(json.loads(value)) == 2


# No verdict: the next task sends its sign-in at once

NO_VERDICT = {
    **{f"HTTP {status}": http(b"{}", f"{status} X") for status in (400, 404, 408, 409, 418, 429)},
    **{f"HTTP {status} in HTML": http(b"<html>", f"{status} X") for status in (403, 404, 418, 500, 503)},
    **{
        f"HTTP {status} in JSON": http(b'{"returnCode":"1","retcode":"100-004","result":1}', f"{status} X")
        for status in (404, 409, 500, 502, 503, 504)
    },
    "a redirect": http(b"", "302 Found", "Location: https://elsewhere/\r\n"),
    "no token: HTML": http(b"<html>please wait</html>"),
    "no token: nothing": http(b""),
    "a list": http(b"[]"),
    "no token: an empty object": http(b"{}"),
    "no token: an empty one": http(b'{"AccessToken":""}'),
    "cut-off JSON": http(b'{"AccessToken":"to'),
    "a cut-off body": b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"retcode"',
    "no HTTP": b"hello\r\n\r\n",
}
OF_THE_GATEWAY = [
    "000-001", "000-002", "000-003", "000-004", "000-006", "000-007", "100-001", "100-002", "100-003",
    "100-006", "100-007", "100-011", "100-012", "100-013", "100-014", "100-015", "100-016", "100-021",
    "105-002", "105-005", "107-000", "107-001", "107-002", "107-005", "999-999",
]  # fmt: skip


def sent_again(server, connect, hook, sign_in, **more):
    """Sign in by two tasks; return how often that was sent, and the failures."""
    connect(
        hook.default_conn_name,
        {**PLAIN, "conn_type": hook.conn_type, "login": "101"},
        port=server.port,
        extra={"timeout": 2},
        **more,
    )
    failures = []
    for _ in range(2):
        with pytest.raises(CCError) as failure:
            sign_in(hook())
        failures.append(failure.value)
    return server.connections, failures


@pytest.mark.parametrize(
    ("system", "answers"),
    [
        ("management", list(NO_VERDICT)),
        # A status goes before what a system says in a body of its own.
        ("gateway", [answer for answer in NO_VERDICT if "HTTP" not in answer or "JSON" in answer]),
        ("isales", [answer for answer in NO_VERDICT if "HTTP" not in answer or "JSON" in answer]),
    ],
    ids=SYSTEMS,
)
def test_what_is_no_verdict_blocks_nothing(serve, connect, variables, system, answers):
    hook = SYSTEMS[system][0]
    for answer in answers:
        server = serve(says(NO_VERDICT[answer]))
        sent, failures = sent_again(server, connect, hook, lambda hook: hook.sessions.sign_in())
        assert (answer, sent) == (answer, 2)
        assert not any(isinstance(failure, CCAuthError) for failure in failures), answer
        if answer.startswith("no token"):
            assert {type(failure) for failure in failures} == {CCSignInUnavailable}, answer
    assert variables.all() == {}


def in_configuration(hook):
    hook.sessions.sign_in()


def as_an_agent(hook):
    with hook.agent_session(10001, "word", "88880001"):
        raise AssertionError("signed in")


@pytest.mark.parametrize("sign_in", [in_configuration, as_an_agent])
def test_a_code_that_is_no_verdict_blocks_nothing(serve, connect, variables, sign_in):
    for code in OF_THE_GATEWAY:
        server = serve(says(http(b'{"retcode":"%s","message":"of the gateway"}' % code.encode())))
        sent, failures = sent_again(server, connect, CCGatewayHook, sign_in)
        assert (code, sent) == (code, 2)
        assert {(failure.code, failure.text) for failure in failures} == {(code, "of the gateway")}
        assert not any(isinstance(failure, CCAuthError) for failure in failures)
    assert variables.all() == {}


def test_no_answer_blocks_nothing(serve, connect, variables):
    server = serve(lambda connection: connection.recv(1000))
    sent, _ = sent_again(server, connect, CCManagementHook, lambda hook: hook.sessions.sign_in())
    assert sent == 2
    assert variables.all() == {}


@pytest.mark.parametrize(
    ("system", "status", "make"),
    [("management", 401, partial(in_threads, threads=64)), ("isales", 403, at_once)],
)
def test_sessions_that_are_refused_everywhere_block_nothing(cc, system, status, make, variables):
    cc.faults.errors, cc.faults.only = {status: 1.0}, {SYSTEMS[system][2]}
    hook, call, _, _ = SYSTEMS[system]
    for number in (1, 2):
        results = make(hook(), [call() for _ in range(64)])
        assert {result.code for result in results} == {f"HTTP {status}"}
        assert all(isinstance(result, CCAuthError) for result in results)
        assert cc.stats.sign_ins() == number
    assert variables.all() == {}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_account_password_query_blocks_nothing(cc, management, variables, status):
    management.send(info())
    cc.faults.overrides["agent000001"] = (status, "{}")
    for _ in range(2):
        with pytest.raises(CCError, match=f"HTTP {status}"):
            CCManagementHook().query_agent_login_params("agent000001", "word")
    assert cc.stats.requests("queryAgentLoginParams") == 2
    assert variables.all() == {}


def test_a_successful_sign_in_leaves_nothing(cc, management, variables):
    management.send(info())
    assert variables.all() == {}


# What ends a block


def test_another_password_is_sent_at_once(cc, reconnect):
    reconnect("cc_management_default", password="wrong")
    rejected()
    reconnect("cc_management_default", password="also wrong")
    assert rejected().code != "blocked"
    reconnect("cc_management_default")
    CCManagementHook().send(info())
    assert cc.stats.sign_ins() == 1


@pytest.mark.parametrize(
    "change",
    [{"login": "other"}, {"extra": {"tenant_space_id": "t"}}, {"extra": {"token_lifetime": 60}},
     {"extra": {"token_url": "/apigovernance/api/oauth/tokenByAkSk?x=1"}}],
    ids=["login", "tenant", "lifetime", "url"],
)  # fmt: skip
def test_any_other_field_of_the_sign_in_frees_it(cc, reconnect, change):
    reconnect("cc_management_default", password="wrong")
    rejected()
    reconnect("cc_management_default", password="wrong", **change)
    with pytest.raises(CCError) as failure:
        CCManagementHook().sessions.sign_in()
    assert failure.value.code != "blocked"


def test_another_address_is_asked_at_once(cc, start, reconnect):
    reconnect("cc_management_default", password="wrong")
    rejected()
    other = start(app_secret="wrong")
    CCManagementHook().send(info())
    assert other.stats.sign_ins() == 1


def test_an_extra_that_made_the_session_useless_is_corrected(cc, reconnect):
    cc.settings.isales_header = "Authorization"
    rejected_by_calls = CCISalesHook()
    with pytest.raises(CCAuthError):
        rejected_by_calls.call(TASKS)
    reconnect("cc_isales_default", extra={"token_header": "Authorization"})
    CCISalesHook().call(TASKS)
    assert cc.stats.sign_ins() == 2


def test_the_command_that_the_error_names_lifts_it(cc, variables):
    cc.faults.refuse_sign_ins = {"management"}
    rejected()
    (name,) = re.findall(r"airflow variables delete (\S+)$", str(rejected()))
    cc.faults.refuse_sign_ins = set()
    assert rejected().code == "blocked"
    variables.delete(name)
    CCManagementHook().send(info())


def test_without_the_key_all_are_lifted(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    rejected()
    variables.delete(lockout.KEY_VARIABLE)
    assert rejected().code == "HTTP 403"
    assert rejected().code == "blocked"


@pytest.mark.parametrize(
    ("ahead", "blocked"),
    [
        (timedelta(minutes=4, seconds=50), True),
        (timedelta(minutes=5, seconds=1), False),
        (-timedelta(minutes=4), True),  # the clock was set back
        (-timedelta(minutes=6), False),
        (-timedelta(days=365), False),
    ],
)
def test_after_five_minutes_it_is_sent_once_more(cc, reconnect, wall, ahead, blocked):
    reconnect("cc_management_default", password="wrong")
    rejected()
    wall.ahead = ahead
    assert rejected().code == ("blocked" if blocked else "HTTP 403")
    assert rejected().code == "blocked"
    assert cc.stats.requests() == (1 if blocked else 2)


def test_the_time_doubles_with_each_rejection_up_to_a_day(cc, reconnect, wall):
    reconnect("cc_management_default", password="wrong")
    rejected()
    for number, minutes in enumerate(MINUTES, start=1):
        wall.ahead += timedelta(minutes=minutes, seconds=-10)
        assert rejected().code == "blocked"
        wall.ahead += timedelta(seconds=20)
        assert rejected().code == "HTTP 403"
        assert cc.stats.requests() == number + 1


def test_a_success_clears_it(cc, wall, variables):
    cc.faults.refuse_sign_ins = {"management"}
    rejected()
    wall.ahead = timedelta(minutes=6)
    cc.faults.refuse_sign_ins = set()
    CCManagementHook().send(info())
    assert json.loads(next(iter(variables.all("cc_blocked__").values()))) == {}
    cc.faults.refuse_sign_ins = {"management"}
    rejected()
    assert the_block(variables)[1]["rejections"] == 1


def test_the_number_of_entries_is_bounded(cc, variables, monkeypatch):
    monkeypatch.setattr(lockout, "MOST_ENTRIES", 10)
    book = Lockout("https://cc")
    error = CCBusinessError("queryAgentLoginParams", "1")
    for number in range(15):
        book.reject(Credential("account", str(number), ("wrong",)), error)
    book.save()
    book.load()
    blocked = [number for number in range(15) if book.blocked(Credential("account", str(number), ("wrong",)))]
    assert blocked == list(range(5, 15))


def test_two_tasks_that_save_keep_each_others_entries(variables):
    error = CCBusinessError("queryAgentLoginParams", "1")
    books = [Lockout("https://cc"), Lockout("https://cc")]
    for number, book in enumerate(books):
        book.load()
        book.reject(Credential("account", str(number), ("wrong",)), error)
    for book in books:
        book.save()
    book = Lockout("https://cc")
    book.load()
    assert all(book.blocked(Credential("account", str(number), ("wrong",))) for number in range(2))


# What it says, and what it does not


def test_the_error_says_what_happened_until_when_and_what_to_do(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    rejected()
    name, entry = the_block(variables)
    error = rejected()
    at = datetime.fromisoformat(entry["rejected_at"])
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (error.endpoint, error.code) == (TOKEN, "blocked")
    assert f"rejected at {at:%Y-%m-%d %H:%M:%S} UTC (HTTP 403, authentication failed" in error.text
    assert f"blocked until {at + timedelta(minutes=5):%Y-%m-%d %H:%M:%S} UTC" in error.text
    assert error.text.endswith(f"airflow variables delete {name}")
    assert set(entry) == {"fingerprint", "rejections", "rejected_at", "endpoint", "reason"}


@EVERY_SYSTEM
def test_neither_secret_nor_fingerprint_nor_key_is_shown(cc, reconnect, variables, logged, system):
    cc.settings.echo_secrets = True
    reconnect(f"cc_{system}_default", password="canary-oriole-61f0")
    errors = [rejected(system), rejected(system)]
    _, entry = the_block(variables)
    key = variables[lockout.KEY_VARIABLE]
    said = logged.text() + "".join(f"{error!r} {error}" for error in errors)
    assert "blocked until" in said
    for secret in ("canary-oriole-61f0", entry["fingerprint"], key):
        assert secret not in said
    assert "canary" not in json.dumps(variables.all())
    assert "canary" not in repr(Credential("account", "canary", ("canary",)))


def test_a_fingerprint_is_worth_nothing_without_its_key(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    rejected()
    before = the_block(variables)[1]["fingerprint"]
    variables.delete()
    rejected()
    assert the_block(variables)[1]["fingerprint"] != before


def test_airflow_hides_the_key_for_its_name():
    try:
        from airflow.sdk._shared.secrets_masker import should_hide_value_for_key
    except ImportError:
        try:
            from airflow.sdk.execution_time.secrets_masker import should_hide_value_for_key
        except ImportError:
            from airflow.utils.log.secrets_masker import should_hide_value_for_key
    assert should_hide_value_for_key(lockout.KEY_VARIABLE)
    assert not should_hide_value_for_key("cc_blocked__0123456789abcdef")


# Where Variables fail


def test_without_variables_the_rules_within_a_task_hold_and_a_line_is_logged(
    cc, reconnect, variables, logged
):
    reconnect("cc_management_default", password="wrong")
    hook = CCManagementHook()
    with variables.away():
        for _ in range(2):
            assert {error.code for error in at_once(hook, [info()] * 64)} == {"HTTP 403"}
        assert rejected().code == "HTTP 403"
    assert cc.stats.requests() == 2
    text = logged.text()
    assert f"Variable {lockout.KEY_VARIABLE} cannot be written (OperationalError)" in text
    assert "cannot be read (OperationalError)" in text
    assert "Traceback" not in text


def test_a_failing_store_fails_no_task(cc, management, monkeypatch, logged):
    def fail():
        raise TimeoutError

    monkeypatch.setattr(compat, "_variables", fail)
    management.send(info())
    assert "cannot be read" in logged.text()


@pytest.mark.parametrize(
    "content",
    ["text", "[]", "7", "[" * 5000, '{"a":1}', '{"a":{"fingerprint":1}}',
     '{"a":{"fingerprint":"ä","rejections":1,"rejected_at":"2026-11-22T03:00:00","endpoint":"e","reason":"c"}}'],
)  # fmt: skip
def test_unexpected_content_is_ignored_and_replaced(cc, reconnect, variables, content):
    reconnect("cc_management_default", password="wrong")
    rejected()
    name, _ = the_block(variables)
    variables[name] = content
    assert rejected().code == "HTTP 403"
    assert rejected().code == "blocked"


def test_content_cannot_forge_a_log_line(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    rejected()
    name, entry = the_block(variables)
    (key,) = json.loads(variables[name])
    variables[name] = json.dumps({key: {**entry, "endpoint": "a\nb", "reason": "HTTP 403\n\x1b[1m"}})
    assert re.search(r"[\x00-\x1f]", str(rejected())) is None


@pytest.mark.parametrize("fingerprint", ["ä", ""])
def test_an_unusual_fingerprint_is_another_one(cc, reconnect, variables, fingerprint):
    reconnect("cc_management_default", password="wrong")
    rejected()
    name, entry = the_block(variables)
    (key,) = json.loads(variables[name])
    variables[name] = json.dumps({key: {**entry, "fingerprint": fingerprint}})
    assert rejected().code == "HTTP 403"


# Across processes

TASK = """
from airflow_provider_cc.exceptions import CCAuthError
from airflow_provider_cc.hooks.management import CCManagementHook
try:
    CCManagementHook().query_agent_info("agent000000")
except CCAuthError as error:
    print("refused as", error.code)
"""


@pytest.mark.timeout(300)  # it starts an Airflow
def test_one_process_blocks_it_for_the_next(cc, reconnect, variables):
    reconnect("cc_management_default", password="wrong")
    assert rejected().code == "HTTP 403"
    # In its unit-test mode each process of Airflow would have another key of its own.
    environment = {
        **os.environ,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__FERNET_KEY": conf.get("core", "fernet_key"),
    }
    done = subprocess.run(
        [sys.executable, "-c", TASK], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert "refused as blocked" in done.stdout
    assert cc.stats.requests() == 1
