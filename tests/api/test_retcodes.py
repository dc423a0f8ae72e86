"""What a code of the contact center becomes: the table of the manual, one line each."""

from __future__ import annotations

import pytest

from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCError,
    CCResponseError,
    CCSessionRefused,
    CCTransientError,
)
from tests.api.support import OTHERS, SIGN_INS, answer

RETCODES = {
    CCBusinessError: [
        *("000-001", "000-002", "000-006", "100-001", "107-002"),  # bad parameter
        *("100-002", "100-008", "999-999", "1", "", "unheard of"),
    ],
    CCSessionRefused: ["000-003", "100-006", "105-005", "105-006", "105-007", "107-000", "107-007"],
    CCTransientError: [
        *("000-004", "105-002", "105-004"),  # being switched over
        *("000-007", "100-021"),  # same call already running
        *("100-003", "100-007", "107-001", "107-005"),  # resource or communication failure
    ],
    CCAuthError: ["100-004", "100-020", "107-003", "110-016"],
}
TABLE = [(code, error) for error, codes in RETCODES.items() for code in codes]
GATEWAY = ["logininfo", "agentevent", "any of CC-Gateway"]
GATEWAY_SIGN_INS = ["config/login", "onlineagent", "forcelogin"]
#: The field that holds the code, by call.
CODE_FIELDS = {
    "queryAgentInfoByAccount": "returnCode",
    "queryAgentLoginParams": "returnCode",
    "agentAccount/query": "resultCode",
    "agentAccount/query of one": "resultCode",
    "config/login": "retcode",
    "logininfo": "retcode",
    "onlineagent": "retcode",
    "forcelogin": "retcode",
    "agentevent": "retcode",
    "logout": "retcode",
    "auth/login": "result",
    "auth/refresh": "result",
    "any of CC-Management": "returnCode",
    "any of CC-Gateway": "retcode",
    "any of CC-iSales": "result",
}


@pytest.mark.parametrize(("code", "error"), TABLE)
def test_a_retcode(code, error):
    # At a sign-in there is no session yet that could have lapsed.
    at_sign_in = CCBusinessError if error is CCSessionRefused else error
    for call in (*GATEWAY, *GATEWAY_SIGN_INS):
        with pytest.raises(CCError) as failure:
            answer(call, {"retcode": code, "message": "words", "result": {}})
        assert type(failure.value) is (at_sign_in if call in GATEWAY_SIGN_INS else error), call
        assert (failure.value.code, failure.value.text) == (code, "words")


@pytest.mark.parametrize("code", ["0", "100-006", "100-008"])
def test_an_agent_who_is_gone_already_is_signed_out(code):
    assert answer("logout", {"retcode": code, "message": ""}) is None


def test_a_sign_out_can_be_refused():
    with pytest.raises(CCSessionRefused):
        answer("logout", {"retcode": "000-003", "message": ""})


@pytest.mark.parametrize("call", [name for name in CODE_FIELDS if name in OTHERS])
def test_every_other_code_is_a_business_failure_with_that_code(call):
    for code in (1, "1", -1, "E42"):
        with pytest.raises(CCBusinessError) as failure:
            answer(call, {CODE_FIELDS[call]: code, "description": "declined"})
        assert (failure.value.code, failure.value.text) == (str(code), "declined")


@pytest.mark.parametrize("call", ["auth/login", "auth/refresh"])
def test_every_other_code_at_a_sign_in_is_a_verdict_except_at_the_gateway(call):
    for code in (1, "1", "E42"):
        with pytest.raises(CCAuthError) as failure:
            answer(call, {CODE_FIELDS[call]: code, "message": "declined"})
        assert (failure.value.code, failure.value.text) == (str(code), "declined")


@pytest.mark.parametrize("field", ["error_code", "errorCode", "resultCode", "returnCode"])
def test_an_error_instead_of_a_token_is_a_verdict_with_its_text(field):
    for text in ("error_msg", "errorMsg", "resultMessage", "resultDesc", "message"):
        with pytest.raises(CCAuthError) as failure:
            answer("tokenByAkSk", {field: "APIG.0301", text: "declined"})
        assert (failure.value.code, failure.value.text) == ("APIG.0301", "declined")


@pytest.mark.parametrize("call", [name for name in CODE_FIELDS if not name.startswith("any")])
def test_a_code_that_is_none_is_a_bad_reply(call):
    expected = "unexpected_format" if call in SIGN_INS else "missing_code"
    for code in (True, None, 0.5, [], {}):
        with pytest.raises(CCResponseError, match=expected):
            answer(call, {CODE_FIELDS[call]: code, "message": "words"})


@pytest.mark.parametrize("call", ["any of CC-Management", "any of CC-iSales"])
def test_codes_of_success_of_any_interface(call):
    for field in ("returnCode", "resultCode", "retcode"):
        for code in ("0", 0, "0200000", "0100000"):
            assert answer(call, {field: code, "data": []}) == {field: code, "data": []}


@pytest.mark.parametrize("call", ["any of CC-Management", "any of CC-Gateway", "any of CC-iSales"])
def test_a_reply_of_any_interface_needs_no_code_and_loses_its_secrets(call):
    agents = [{"workNo": "1", "sipPwd": "S3cret", "sipAccount": "8"}]
    reply = {"agents": agents, "guId": "S3cret", "nested": {"AccessToken": "S3cret", "a": 1}}
    expected = {"agents": [{"workNo": "1", "sipAccount": "8"}], "nested": {"a": 1}}
    assert answer(call, reply) == expected


@pytest.mark.parametrize("code", ["0200001", "1200000x", "00000", "200000"])
def test_other_codes_of_any_interface_are_failures(code):
    with pytest.raises(CCBusinessError):
        answer("any of CC-iSales", {"resultCode": code})


@pytest.mark.parametrize("name", ["description", "message", "msg", "resultMessage", "resultDesc"])
def test_the_text_is_found_under_each_of_its_names(name):
    with pytest.raises(CCBusinessError) as failure:
        answer("any of CC-iSales", {"result": "7", name: "why"})
    assert failure.value.text == "why"


@pytest.mark.parametrize("text", [None, "", [], {"a": 1}, True])
def test_a_text_that_is_none_is_left_out(text):
    with pytest.raises(CCBusinessError) as failure:
        answer("logininfo", {"retcode": "100-001", "message": text})
    assert str(failure.value) == "logininfo: 100-001"


def test_a_payload_named_result_is_not_taken_for_the_code():
    reply = {"resultCode": "0", "result": {"rows": []}}
    assert answer("any of CC-iSales", reply) == reply


@pytest.mark.parametrize("password", ["0", "107", "-"])
def test_a_short_password_does_not_change_what_a_code_means(password):
    with pytest.raises(CCSessionRefused):
        answer("any of CC-Gateway", {"retcode": "107-000"}, secrets=(password,))
    assert answer("any of CC-Gateway", {"retcode": "0"}, secrets=(password,)) == {"retcode": "0"}
