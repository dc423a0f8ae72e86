"""What is made of replies: right ones in all the types that occur, and everything that is wrong."""

from __future__ import annotations

import itertools
import json
import time

import pytest

from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent, SipServer
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCError,
    CCResponseError,
    CCSessionRefused,
    CCTransientError,
)
from tests.api.support import CALLS, GUID, OTHERS, SIGN_INS, answer

TOKENS = {
    "token": "t",
    "tokenExpirationTime": 300,
    "refreshToken": "r",
    "refreshExpirationTime": 3600,
}
#: A success of each call.
GOOD = {
    "tokenByAkSk": {"AccessToken": "t", "Expires": "600"},
    "queryAgentInfoByAccount": {"returnCode": "0", "data": {"workNo": 7094}},
    "queryAgentLoginParams": {"returnCode": "0", "results": {"workNo": "1516", "sipAccount": "8"}},
    "agentAccount/query": {"resultCode": "0", "total": 1, "data": [{"userAccount": "a"}]},
    "agentAccount/query of one": {"resultCode": "0", "data": [{"userAccount": "Agents"}]},
    "config/login": {"retcode": "0", "result": {"guid": GUID}},
    "logininfo": {"retcode": "0", "result": {"phonenum": "8", "phonetoken": "t"}},
    "onlineagent": {"retcode": "0", "result": {}},
    "forcelogin": {"retcode": "0", "result": {}},
    "agentevent": {"retcode": "0", "event": None},
    "logout": {"retcode": "0"},
    "auth/login": {"result": 0, "resultData": TOKENS},
    "auth/refresh": {"result": 0, "resultData": TOKENS},
    "any of CC-Management": {"returnCode": "0"},
    "any of CC-Gateway": {"retcode": "0"},
    "any of CC-iSales": {"result": 0},
}
GUID_HEADER = {"Set-GUID": f"JSESSIONID={GUID}"}
PAYLOADS = [
    ("queryAgentInfoByAccount", "data"),
    ("queryAgentLoginParams", "results"),
    ("logininfo", "result"),
    ("config/login", "result"),
    ("auth/login", "resultData"),
]
HTML = b"<!DOCTYPE html><html><body><h1>Request failed</h1></body></html>"


def body(call: str) -> bytes:
    return json.dumps(GOOD[call]).encode()


# Replies as they should be


@pytest.mark.parametrize("call", CALLS)
def test_a_success_is_read_in_each_of_its_forms(call):
    """Plain, with a byte order mark, with news, with broken UTF-8 where it does no harm, in an envelope."""
    read = repr(answer(call, body(call), headers=GUID_HEADER))
    forms = [
        b"\xef\xbb\xbf" + body(call),
        {"news": [1, {"a": None}], **GOOD[call]},
        json.dumps({"message": "@", **GOOD[call]}).encode().replace(b"@", b"\xff"),
    ]
    if call != "tokenByAkSk":
        forms += [{wrapper: GOOD[call]} for wrapper in ("schema", "requestParams")]
    for form in forms:
        found = repr(answer(call, form, headers=GUID_HEADER))
        assert found == read or call.startswith("any"), form  # which returns what it got
    if call in OTHERS:
        answer(call, body(call), status=201)


@pytest.mark.parametrize("number", [7094, "7094", 7094.0, " 7094 "])
def test_an_agent_id_comes_in_any_of_these_types(number):
    reply = {"returnCode": 0, "data": {"workNo": number, "agentType": "5", "agentStatus": 0}}
    assert answer("queryAgentInfoByAccount", reply) == AgentInfo("Agents", 7094, 5, "0")


@pytest.mark.parametrize("number", ["", " ", None])
@pytest.mark.parametrize(
    ("call", "payload"), [("queryAgentInfoByAccount", "data"), ("queryAgentLoginParams", "results")]
)
def test_no_agent_id_is_a_business_failure_of_its_own_code(call, payload, number):
    with pytest.raises(CCBusinessError) as failure:
        answer(call, {"returnCode": "0", payload: {"workNo": number}})
    assert (failure.value.endpoint, failure.value.code) == (CALLS[call].endpoint.name, "no_agent")


@pytest.mark.parametrize(
    "number",
    [0, "0", -1, "-1", True, False, 7094.5, "7094.0", "7094a", "７０９４", 2**31, 10**30, "9" * 11, [], {}],
)
def test_what_is_no_agent_id_is_a_bad_reply(number):
    for call, payload in (("queryAgentInfoByAccount", "data"), ("queryAgentLoginParams", "results")):
        with pytest.raises(CCResponseError, match="workNo"):
            answer(call, {"returnCode": "0", payload: {"workNo": number}})


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 5000, "-", "NaN"])
def test_a_number_that_nothing_can_hold_is_a_bad_reply(number):
    with pytest.raises(CCResponseError):
        answer("queryAgentInfoByAccount", f'{{"returnCode": "0", "data": {{"workNo": {number}}}}}')


@pytest.mark.parametrize(("value", "read"), [(None, None), ("", None), (0, 0), ("255", 255), (77, 77)])
def test_an_agent_type_is_passed_on(value, read):
    reply = {"returnCode": "0", "data": {"workNo": 1, "agentType": value}}
    assert answer("queryAgentInfoByAccount", reply).agent_type == read


@pytest.mark.parametrize(("value", "read"), [(None, "0"), ("", "0"), (3, "3"), ("busy", "busy")])
def test_an_agent_status_is_a_text_with_the_default_of_the_manual(value, read):
    reply = {"returnCode": "0", "data": {"workNo": 1, "agentStatus": value}}
    assert answer("queryAgentInfoByAccount", reply).agent_status == read


@pytest.mark.parametrize("value", [True, 0.5, [], {}, "a" * 65, "a\nb", "\x1b[31m"])
def test_what_is_no_agent_status_is_a_bad_reply(value):
    with pytest.raises(CCResponseError, match="agentStatus"):
        answer("queryAgentInfoByAccount", {"returnCode": "0", "data": {"workNo": 1, "agentStatus": value}})


@pytest.mark.parametrize(
    ("server", "read"),
    [
        ({"sipServiceIp": "h", "sipServicePort": "33", "node": "1", "type": "1"}, ("h", "33", "1", "1")),
        ({"sipServiceIp": "h", "sipServicePort": 33}, ("h", "33", None, "0")),
        ({"sipServiceIp": "h", "sipServicePort": "", "type": 1}, ("h", None, None, "1")),
        ({}, (None, None, None, "0")),
    ],
)
def test_a_sip_server_is_read(server, read):
    reply = {"returnCode": "0", "results": {"workNo": "1", "sipServerInfo": [server]}}
    assert answer("queryAgentLoginParams", reply).sip_servers == (SipServer(*read),)


@pytest.mark.parametrize("results", [{}, {"sipServerInfo": None, "sipAccount": ""}, {"sipServerInfo": []}])
def test_an_account_needs_no_softphone(results):
    reply = {"returnCode": "0", "results": {"workNo": "1", **results}}
    assert answer("queryAgentLoginParams", reply) == AgentLoginParams("ls120201", 1, None, ())


@pytest.mark.parametrize("call", ["config/login"])
@pytest.mark.parametrize("result", [{}, {"guid": ""}, {"guid": None}, None, ""])
def test_the_config_guid_is_taken_from_the_header_where_the_body_has_none(call, result):
    assert answer(call, {"retcode": "0", "result": result}, headers={"guid": GUID}).token == GUID


def test_the_config_guid_of_the_body_comes_first():
    reply = {"retcode": "0", "result": {"guid": GUID}}
    assert answer("config/login", reply, headers={"Guid": "another"}).token == GUID


@pytest.mark.parametrize("call", ["onlineagent", "forcelogin", "agentevent"])
@pytest.mark.parametrize(
    "value", [f"JSESSIONID={GUID}", GUID, f" JSESSIONID={GUID} ", f"JSESSIONID={GUID}; Path=/; Secure"]
)
def test_an_agents_guid_is_found_in_its_header(call, value):
    result = answer(call, {"retcode": "0"}, headers={"set-guid": value})
    assert getattr(result, "token", result) == GUID


@pytest.mark.parametrize("headers", [{}, {"Set-GUID": ""}, {"Set-GUID": "JSESSIONID="}])
def test_an_event_poll_without_a_new_guid_has_none(headers):
    assert answer("agentevent", {"retcode": "0"}, headers=headers) is None


@pytest.mark.parametrize(
    ("expires", "lifetime"), [("600", 600), (600, 600), (None, 3600), ("", 3600), ("0", 3600)]
)
def test_a_token_lives_as_long_as_granted_or_else_as_asked_for(expires, lifetime):
    assert answer("tokenByAkSk", {"AccessToken": "t", "Expires": expires}).lifetime == lifetime


# The directory


def test_a_line_of_the_directory_is_read():
    row = {
        "userAccount": "a",
        "userName": "Robin Sample",
        "phone": "+999",
        "email": "r@s.example",
        "agentType": 5,
        "ccRoleId": 2,
        "sipAccount": "8",
        "workNo": "7",
        "skills": [{"skillId": 1}],
    }
    reply = {"resultCode": "0", "total": 1, "data": [row]}
    assert answer("agentAccount/query", reply).agents == [DirectoryAgent("a", 7, 5, "8")]


@pytest.mark.parametrize("number", [None, "", 0, "0"])
def test_a_line_of_the_directory_need_not_be_an_agent(number):
    reply = {"resultCode": "0", "total": 1, "data": [{"userAccount": "a", "workNo": number}]}
    assert answer("agentAccount/query", reply).agents == [DirectoryAgent("a", None, None, None)]


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({}, "(page 0, entry 2)"),
        ({"userAccount": ""}, "(page 0, entry 2)"),
        ({"userAccount": True}, "(page 0, entry 2)"),
        ({"userAccount": "a" * 101}, "(page 0, entry 2)"),
        ({"userAccount": "b", "workNo": "x"}, "b"),
        ({"userAccount": "b", "agentType": []}, "b"),
        ({"userAccount": "b", "sipAccount": {}}, "b"),
        ({"userAccount": "b\nc"}, "b c"),
    ],
)
def test_a_line_of_the_directory_that_cannot_be_read_is_told_from_the_others(row, where):
    reply = {"resultCode": "0", "total": 3, "data": [{"userAccount": "a"}, row, {"userAccount": "z"}]}
    page = answer("agentAccount/query", reply)
    assert [agent.account for agent in page.agents] == ["a", "z"]
    assert [place for place, error in page.unreadable] == [where]
    assert isinstance(page.unreadable[0][1], CCResponseError)


@pytest.mark.parametrize("total", [None, "", "many", -1, True, [], 10**12])
def test_a_page_need_not_say_the_total(total):
    page = answer("agentAccount/query", {"resultCode": "0", "total": total, "data": [{"userAccount": "a"}]})
    assert (page.total, len(page.agents)) == (None, 1)


@pytest.mark.parametrize("data", [None, []])
def test_an_empty_directory_has_an_empty_page(data):
    assert answer("agentAccount/query", {"resultCode": "0", "total": "0", "data": data}).agents == []


@pytest.mark.parametrize("total", [2, 100, 1000])
def test_a_total_is_a_hint(total):
    page = answer("agentAccount/query", {"resultCode": "0", "total": total, "data": [{"userAccount": "a"}]})
    assert (page.total, len(page.agents)) == (total, 1)


@pytest.mark.parametrize("data", [[], None])
@pytest.mark.parametrize("total", [None, 0, "0"])
def test_the_directory_may_not_know_an_account(data, total):
    reply = {"resultCode": "0", "data": data, "total": total}
    assert answer("agentAccount/query of one", reply) == []


@pytest.mark.parametrize(
    ("total", "data"),
    [
        (None, [{"userAccount": "agent"}]),
        (1, [{"userAccount": "agent"}]),
        (None, [{"userAccount": "a"}, {"userAccount": "b"}]),
        (None, [{}]),
        (12, []),
        ("12", None),
    ],
)
def test_an_answer_about_others_says_nothing_about_an_account(total, data):
    with pytest.raises(CCResponseError, match="filter_ignored"):
        answer("agentAccount/query of one", {"resultCode": "0", "data": data, "total": total})


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (["Agents"], ["Agents"]),
        (["agents", "Agents", "x"], ["Agents"]),
        (["agents"], ["agents"]),
        (["Agents", "Agents"], ["Agents", "Agents"]),
    ],
)
def test_an_account_is_found_among_others_and_in_another_letter_case(listed, found):
    data = [{"userAccount": account} for account in listed]
    agents = answer("agentAccount/query of one", {"resultCode": "0", "data": data})
    assert [agent.account for agent in agents] == found


def test_the_directory_may_know_an_account_whose_line_cannot_be_read():
    with pytest.raises(CCResponseError, match="workNo"):
        answer(
            "agentAccount/query of one",
            {"resultCode": "0", "data": [{"userAccount": "Agents", "workNo": []}]},
        )


# Replies of the wrong shape


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_json_object_is_a_bad_reply(call):
    for wrong in (
        b"", b" ", HTML, b"null", b"0", b'"ok"', b"[]", b"[{}]", b"{", b"\xff\xfe{\x00", b"[" * 100_000,
    ):  # fmt: skip
        with pytest.raises(CCResponseError) as failure:
            answer(call, wrong, headers={"Content-Type": "text/html", **GUID_HEADER})
        assert failure.value.endpoint == CALLS[call].endpoint.name
        assert "h1" not in str(failure.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_truncated_reply_is_a_bad_reply(call):
    whole = body(call)
    for length in range(len(whole)):
        with pytest.raises(CCResponseError, match="not_json"):
            answer(call, whole[:length], headers=GUID_HEADER)


@pytest.mark.parametrize("call", [name for name in OTHERS if not name.startswith("any")])
def test_an_unknown_envelope_is_a_bad_reply_that_names_the_keys(call):
    for reply in ({}, {"state": "0", "payload": 1}, {"schema": {"state": "0"}}):
        with pytest.raises(CCResponseError, match="keys seen") as failure:
            answer(call, reply, headers=GUID_HEADER)
        inner = reply.get("schema", reply)
        assert failure.value.code == "missing_code"
        assert failure.value.text.endswith(f"keys seen: {', '.join(sorted(inner)) or 'none'}")


@pytest.mark.parametrize(("call", "field"), PAYLOADS)
def test_a_payload_of_another_shape_is_a_bad_reply_that_shows_none_of_it(call, field):
    for payload in (None, "", "S3cret-value", 4711, True, [], [4711]):
        with pytest.raises(CCResponseError) as failure:
            answer(call, {**GOOD[call], field: payload})
        assert "S3cret-value" not in str(failure.value)
        assert "4711" not in str(failure.value)


@pytest.mark.parametrize("data", ["x", {}, 5, ["x"], [None]])
def test_a_directory_of_another_shape_is_a_bad_reply(data):
    with pytest.raises(CCResponseError, match=r"data.*keys seen: data, resultCode, total"):
        answer("agentAccount/query", {"resultCode": "0", "total": 1, "data": data})


@pytest.mark.parametrize("value", [None, ""])
def test_logininfo_may_have_no_number(value):
    reply = {"retcode": "0", "result": {"phonenum": value, "phonetoken": "t"}}
    assert answer("logininfo", reply).softphone_number is None


@pytest.mark.parametrize("value", [True, [], {}, 0.5, "8" * 65])
def test_logininfo_with_what_is_no_number_is_a_bad_reply(value):
    with pytest.raises(CCResponseError, match="phonenum"):
        answer("logininfo", {"retcode": "0", "result": {"phonenum": value, "phonetoken": "t"}})


@pytest.mark.parametrize("value", [None, "", True, [], 5])
def test_logininfo_may_have_no_token(value):
    reply = {"retcode": "0", "result": {"phonenum": "8", "phonetoken": value}}
    assert answer("logininfo", reply).phone_token.reveal() == ""


@pytest.mark.parametrize(
    ("call", "payload", "field"),
    [
        ("tokenByAkSk", None, "AccessToken"),
        ("config/login", "result", "guid"),
        ("auth/login", "resultData", "token"),
        ("auth/refresh", "resultData", "token"),
    ],
)
def test_a_sign_in_that_yields_no_usable_session_is_a_bad_reply(call, payload, field):
    for value in (None, "", " ", "two words", "new\nline", "naïve", 5, True, [], {}):
        reply = {**GOOD[call], field: value} if payload is None else {**GOOD[call], payload: {field: value}}
        with pytest.raises(CCResponseError) as failure:
            answer(call, reply)
        assert failure.value.code == "no_session", value


@pytest.mark.parametrize("call", ["onlineagent", "forcelogin"])
@pytest.mark.parametrize("headers", [{}, {"Set-GUID": ""}, {"Set-GUID": "JSESSIONID="}, {"Guid": GUID}])
def test_an_agent_sign_in_without_a_guid_is_a_bad_reply(call, headers):
    with pytest.raises(CCResponseError, match="Set-GUID"):
        answer(call, body(call), headers=headers)


@pytest.mark.parametrize("lifetime", ["soon", -5, "-5", True, [], {}, None, "", "nan", 0, "2026-11-22"])
def test_a_token_with_an_unreadable_lifetime_lives_as_long_as_was_asked(lifetime):
    assert answer("tokenByAkSk", {"AccessToken": "t", "Expires": lifetime}).lifetime == 3600
    assert answer("tokenByAkSk", {"AccessToken": "t"}).lifetime == 3600


@pytest.mark.parametrize(
    ("expires", "created", "seconds"),
    [
        ("600", "1700000000", 600),
        (599.5, None, 599.5),
        ("0.5", None, 0.5),
        ("1700000600", "1700000000", 600),
        (1700000600000, "1700000000", 600),
        ("1700000600000", 1700000000000, 600),
    ],
)
def test_a_lifetime_in_each_of_its_forms(expires, created, seconds):
    session = answer("tokenByAkSk", {"AccessToken": "t", "Expires": expires, "CreateTime": created})
    assert session.lifetime == seconds


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_time_of_the_end_without_a_readable_beginning_counts_from_now(unit):
    expires = int((time.time() + 900) * unit)
    session = answer("tokenByAkSk", {"AccessToken": "t", "Expires": expires, "CreateTime": "soon"})
    assert 880 < session.lifetime <= 900


def test_an_error_beside_a_token_does_not_count():
    assert answer("tokenByAkSk", {"AccessToken": "t", "error_code": "E1", "resultCode": "1"}).token == "t"


# Statuses

BODIES = [b'{"error_code":"E1","message":"words"}', HTML, b"", b'{"returnCode":"0","retcode":"0","result":0}']
STATUSES = {
    400: CCBusinessError,
    401: CCSessionRefused,
    403: CCSessionRefused,
    404: CCBusinessError,
    405: CCResponseError,
    408: CCTransientError,
    410: CCResponseError,
    418: CCTransientError,
    429: CCTransientError,
    500: CCBusinessError,
    501: CCResponseError,
    502: CCTransientError,
    503: CCTransientError,
    504: CCTransientError,
    599: CCResponseError,
    301: CCResponseError,
    302: CCResponseError,
    307: CCResponseError,
    308: CCResponseError,
    304: CCResponseError,
    100: CCResponseError,
}


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
def test_a_status(status, error):
    """Only two of them are a verdict at a sign-in."""
    calls = OTHERS if status in (401, 403) else CALLS
    for call, content in itertools.product(calls, BODIES):
        with pytest.raises(CCError) as failure:
            answer(call, content, status=status, headers={"Location": "https://elsewhere.example/S3cret"})
        assert (call, type(failure.value), failure.value.code) == (call, error, f"HTTP {status}")
        assert "elsewhere" not in str(failure.value)


@pytest.mark.parametrize("call", SIGN_INS)
def test_a_401_at_a_sign_in_is_a_verdict_and_a_403_if_it_is_json(call):
    for content, status in itertools.product(BODIES, (401, 403)):
        verdict = status == 401 or content.startswith(b"{")
        with pytest.raises(CCAuthError if verdict else CCBusinessError) as failure:
            answer(call, content, status=status)
        assert (failure.value.code, failure.value.status) == (f"HTTP {status}", status)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_status_is_explained_in_the_manuals_words_and_the_servers(status):
    with pytest.raises((CCAuthError, CCBusinessError)) as failure:
        answer("logininfo", {"message": "said the server"}, status=status)
    assert failure.value.text.endswith("; said the server")
    assert len(failure.value.text) > len("; said the server")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("nan", None),
        ("Thu, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_the_server_asks_for_is_told(status, value, seconds):
    with pytest.raises(CCTransientError) as failure:
        answer("logininfo", b"", status=status, headers={"Retry-After": value} if value is not None else {})
    assert failure.value.retry_after == seconds


def test_a_wait_until_a_date_is_told_in_seconds():
    with pytest.raises(CCTransientError) as failure:
        answer("logininfo", b"", status=503, headers={"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert failure.value.retry_after > 3600
