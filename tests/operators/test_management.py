"""Agents by account, softphones by password: rows out, failures raised or collected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCPermissionError,
    CCResponseError,
    CCTransientError,
)
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.operators.management import (
    CCQueryAgentInfoOperator,
    CCQueryAgentLoginParamsOperator,
)
from airflow_provider_cc.operators.rows import MAX_REJECTED
from airflow_provider_cc.simulator import Simulator
from tests.operators.conftest import Connect, MakeCenter, assert_no_secret

INFO, PARAMS = "queryAgentInfoByAccount", "queryAgentLoginParams"


def info(account_codes: Any, **arguments: Any) -> list[dict[str, Any]]:
    return CCQueryAgentInfoOperator(task_id="t", account_codes=account_codes, **arguments).execute({})


def params(account_conn_ids: Any, **arguments: Any) -> list[dict[str, Any]]:
    operator = CCQueryAgentLoginParamsOperator(task_id="t", account_conn_ids=account_conn_ids, **arguments)
    return operator.execute({})


def expected(center: Simulator, account: str) -> dict[str, Any]:
    agent = center.agent(account)
    return {
        "account": account,
        "agent_id": agent.agent_id,
        "agent_type": agent.agent_type,
        "agent_status": agent.agent_status,
    }


@pytest.fixture
def accounts(center: Simulator, connect: Connect) -> list[str]:
    """Give the ids of three agents' connections."""
    return [
        connect(f"agent_{number}", login=account, password=center.agent(account).password)
        for number, account in enumerate(center.accounts(limit=3))
    ]


# Agent information


def test_a_text_is_one_account(center: Simulator) -> None:
    assert info("agent000003") == [expected(center, "agent000003")]


def test_a_list_is_answered_in_its_order_by_one_session(center: Simulator) -> None:
    assert info([]) == []
    assert center.stats.requests() == 0
    wanted = ("agent000005", "agent000001", "agent000005")

    for sign_ins, codes in enumerate((wanted, list(wanted)), start=1):  # one for each execution
        rows = info(codes)
        assert rows == [expected(center, account) for account in wanted]
        assert (center.stats.sign_ins(), center.stats.requests(INFO)) == (sign_ins, 3 * sign_ins)

    assert json.loads(json.dumps(rows)) == rows
    assert_no_secret(center, rows)


@pytest.mark.parametrize(
    "codes",
    [
        "",
        " ",
        "x" * 65,
        None,
        7,
        [7],
        [None],
        {"agent000001": 1},
        b"agent000001",
        ["agent000001", ""],
        ["agent000001", "x" * 65],
        ["agent000001", "\ud800"],
    ],
)
def test_a_bad_account_code_is_refused_before_anything_is_asked(center: Simulator, codes: Any) -> None:
    with pytest.raises(ValueError, match="account_code"):
        info(codes)

    assert center.stats.requests() == 0


@pytest.mark.parametrize("operator", [info, params])
def test_an_unknown_way_with_errors_is_refused_before_anything_is_asked(
    center: Simulator, operator: Any
) -> None:
    with pytest.raises(ValueError, match="on_error"):
        operator([], on_error="ignore")

    assert center.stats.requests() == 0


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        (None, CCBusinessError, "no_agent"),
        ((200, "<html>"), CCResponseError, "not_json"),
        ((401, ""), CCPermissionError, "HTTP 401"),
        ((403, ""), CCPermissionError, "HTTP 403"),
    ],
)
def test_the_first_failure_fails_the_task(center: Simulator, reply: Any, error: Any, code: str) -> None:
    if reply:
        center.faults.overrides = {"other": reply}

    with pytest.raises(error) as caught:
        info(["agent000001", "other", "agent000002"])

    assert (caught.value.endpoint, caught.value.code) == (INFO, code)
    assert center.stats.accounts == {"agent000001": 1 if reply is None or reply[0] == 200 else 2, "other": 1}
    assert info("agent000002") == [expected(center, "agent000002")]  # nothing is blocked


def test_a_missing_account_is_collected(center: Simulator) -> None:
    good, bad, last = info(["agent000001", "nobody", "agent000002"], on_error="collect")

    assert (good, last) == (expected(center, "agent000001"), expected(center, "agent000002"))
    assert {**bad, "message": ""} == {
        "account": "nobody",
        "endpoint": INFO,
        "code": "no_agent",
        "message": "",
    }
    assert bad["message"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [((200, "<html>"), "not_json"), ((500, ""), "HTTP 500"), ((200, {"returnCode": "42"}), "42")],
)
def test_an_unreadable_account_is_collected(center: Simulator, reply: tuple[int, Any], code: str) -> None:
    center.faults.overrides = {"agent000001": reply}

    bad, good = info(["agent000001", "agent000002"], on_error="collect")

    assert (bad["endpoint"], bad["code"]) == (INFO, code)
    assert good == expected(center, "agent000002")


@pytest.mark.parametrize(("status", "place"), [(401, 0), (403, 1), (401, 2)])
def test_a_refused_account_among_good_ones_is_collected(center: Simulator, status: int, place: int) -> None:
    accounts = ["agent000000", "agent000001", "agent000002"]
    center.faults.overrides = {accounts[place]: (status, "")}

    rows = info(accounts, on_error="collect")

    good = [expected(center, account) for account in accounts]
    assert [row for row in rows if row in good] == good[:place] + good[place + 1 :]
    assert (rows[place]["account"], rows[place]["code"]) == (accounts[place], f"HTTP {status}")
    assert center.stats.sign_ins() == 1


@pytest.mark.parametrize(
    ("status", "agents", "asked"), [(401, 12, 12), (403, 12, 12), (403, 50, MAX_REJECTED)]
)
def test_if_every_account_is_refused_the_task_fails_before_all_are_asked_for(
    make_center: MakeCenter, status: int, agents: int, asked: int
) -> None:
    center = make_center(agents=agents)
    accounts = list(center.accounts())
    center.faults.overrides = {account: (status, "") for account in accounts}

    with pytest.raises(CCAuthError, match=f"HTTP {status}"):
        info(accounts, on_error="collect")

    assert (center.stats.sign_ins(), center.stats.requests(INFO)) == (1, asked)


def test_refused_accounts_after_a_success_are_collected_however_many(make_center: MakeCenter) -> None:
    center = make_center(agents=50)
    first, *others = center.accounts()
    center.faults.overrides = {account: (403, "") for account in others}

    good, *bad = info([first, *others], on_error="collect")

    assert good == expected(center, first)
    assert [(row["account"], row["code"]) for row in bad] == [(each, "HTTP 403") for each in others]
    assert center.stats.sign_ins() == 1


@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_a_refused_sign_in_fails_the_task_and_is_not_repeated(center: Simulator, on_error: str) -> None:
    center.settings.app_secret = "another"

    with pytest.raises(CCAuthError):
        info(list(center.accounts()), on_error=on_error)

    assert (center.stats.refused(), center.stats.requests()) == (1, 1)


def test_a_silent_server_fails_the_task_even_if_errors_are_collected(
    center: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.001)
    center.faults.errors, center.faults.only = {503: 1.0}, {INFO}

    with pytest.raises(CCTransientError):
        info(["agent000001", "agent000002"], on_error="collect")

    assert set(center.stats.accounts) <= {"agent000001"}


# The manual's user-name scenario


@pytest.fixture
def user(center: Simulator, connect: Connect) -> str:
    settings = center.settings
    return connect("query_user", login=settings.user_name, password=settings.user_password)


def test_a_user_name_takes_the_place_of_the_app_key(center: Simulator, user: str, connect: Connect) -> None:
    known = center.connections()["cc_management_default"]
    connect("no_key", **{**known, "login": None, "password": None})

    rows = info(["agent000001", "agent000002"], cc_conn_id="no_key", auth_conn_id=user)

    assert rows == [expected(center, "agent000001"), expected(center, "agent000002")]
    assert center.stats.sign_ins("management") == 0
    assert all("Authorization" not in request.headers for request in center.stats.recorded)


@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_a_wrong_user_password_is_sent_once_also_for_a_long_list(
    center: Simulator, connect: Connect, on_error: str
) -> None:
    user = connect("query_user", login=center.settings.user_name, password="wrong")

    with pytest.raises(CCAuthError):
        info(list(center.accounts()) * 50, auth_conn_id=user, on_error=on_error)

    assert center.stats.requests(INFO) == 1


def test_a_password_that_may_be_wrong_is_sent_once_also_if_the_code_does_not_say(
    center: Simulator, user: str
) -> None:
    """Before the first success, a declined call may be the fault of the password."""
    center.faults.overrides = dict.fromkeys(center.accounts(), (200, {"returnCode": "1"}))

    with pytest.raises(CCBusinessError):
        info(list(center.accounts()), auth_conn_id=user, on_error="collect")

    assert center.stats.requests(INFO) == 1


def test_after_a_success_a_missing_account_is_collected(center: Simulator, user: str) -> None:
    rows = info(["agent000001", "nobody"], auth_conn_id=user, on_error="collect")

    assert rows[1]["code"] == "no_agent"


def test_a_user_without_password_is_named(center: Simulator, connect: Connect) -> None:
    user = connect("query_user", login="somebody")

    with pytest.raises(CCConfigError, match=r"'query_user'.*password"):
        info("agent000001", auth_conn_id=user)

    assert center.stats.requests() == 0


# Login parameters


def test_login_parameters_are_rows_without_secrets_by_one_session(
    center: Simulator, accounts: list[str]
) -> None:
    rows = params(accounts)

    assert rows[0] == {
        "account": "agent000000",
        "agent_id": center.agent("agent000000").agent_id,
        "softphone_number": center.agent("agent000000").softphone_number,
        "sip_servers": [
            {"host": "10.10.10.11", "port": "33", "node": None, "type": "0"},
            {"host": "10.10.10.12", "port": "8443", "node": "1", "type": "1"},
        ],
    }
    assert [row["account"] for row in rows] == ["agent000000", "agent000001", "agent000002"]
    assert json.loads(json.dumps(rows)) == rows
    assert_no_secret(center, rows)
    assert (center.stats.sign_ins(), center.stats.requests(PARAMS)) == (1, 3)


def test_a_text_is_one_connection(center: Simulator, accounts: list[str]) -> None:
    assert [row["account"] for row in params(accounts[1])] == ["agent000001"]


def test_two_connections_of_one_account_are_two_rows(
    center: Simulator, accounts: list[str], connect: Connect
) -> None:
    again = connect("again", login="agent000001", password=center.agent("agent000001").password)

    rows = params([accounts[1], accounts[0], again])

    assert [row["account"] for row in rows] == ["agent000001", "agent000000", "agent000001"]
    assert rows[0] == rows[2]


def test_of_two_connections_of_one_account_the_one_with_a_wrong_password_is_collected(
    center: Simulator, accounts: list[str], connect: Connect
) -> None:
    again = connect("again", login="agent000001", password="wrong")

    good, bad = params([accounts[1], again], on_error="collect")

    assert good["agent_id"] == center.agent("agent000001").agent_id
    assert (bad["account"], bad["code"]) == ("agent000001", "1")


def test_a_wrong_account_password_fails_the_task_or_is_collected_and_sent_once(
    center: Simulator, accounts: list[str], connect: Connect
) -> None:
    connect("agent_1", login="agent000001", password="WrongPass-lilac-gorge")
    center.settings.echo_secrets = True

    _, bad, good = params(accounts, on_error="collect")

    assert (bad["account"], bad["endpoint"], bad["code"]) == ("agent000001", PARAMS, "1")
    assert "WrongPass-lilac-gorge" not in str(bad)
    assert good["account"] == "agent000002"
    assert center.stats.accounts["agent000001"] == 1

    with pytest.raises(CCBusinessError, match=PARAMS):
        params(accounts)


@pytest.mark.parametrize(
    "fields", [{"login": "x" * 101, "password": "p"}, {"login": "agent000001", "password": "p" * 101}]
)
def test_what_the_manual_does_not_allow_is_refused_before_anything_is_asked(
    center: Simulator, accounts: list[str], connect: Connect, fields: dict[str, str]
) -> None:
    bad = connect("bad", **fields)

    with pytest.raises(ValueError, match="100 characters") as caught:
        params([*accounts, bad])

    assert "p" * 101 not in str(caught.value)
    assert center.stats.requests() == 0


def test_a_connection_without_password_is_named_before_anything_is_asked(
    center: Simulator, accounts: list[str], connect: Connect
) -> None:
    bad = connect("bad", login="agent000001")

    with pytest.raises(CCConfigError, match="'bad'"):
        params([*accounts, bad])

    assert center.stats.requests() == 0


@pytest.mark.parametrize("ids", [None, 7, [7], {"agent_0": 1}])
def test_what_is_no_connection_id_is_refused(center: Simulator, ids: Any) -> None:
    with pytest.raises(ValueError, match="account_conn_ids must be a string or a list of strings"):
        params(ids)

    assert center.stats.requests() == 0


# Any operator


def test_what_the_call_needs_is_named_in_full(center: Simulator, connect: Connect) -> None:
    connect("empty", conn_type="cc_management")

    with pytest.raises(CCConfigError) as caught:
        info("agent000001", cc_conn_id="empty")

    for field in ("'empty'", "host", "app key", "app secret"):
        assert field in str(caught.value)


@pytest.mark.parametrize("kind", [CCQueryAgentInfoOperator, CCQueryAgentLoginParamsOperator])
def test_constructing_does_nothing(kind: Any) -> None:
    argument = "account_codes" if kind is CCQueryAgentInfoOperator else "account_conn_ids"

    kind(task_id="t", cc_conn_id="nowhere", on_error="nonsense", **{argument: ["x" * 999]})
