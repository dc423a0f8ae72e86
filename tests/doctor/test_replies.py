"""Of a reply, keys and types are told, and never a value."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cc.api import management
from airflow_provider_cc.api.protocol import Reply
from airflow_provider_cc.doctor.replies import record

CANARY = "Canary-teal-otter-52"
CALL = management.query_agent_info("agent000001")
VALUES = st.recursive(
    st.sampled_from([CANARY, None, True, 7]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "resultCode", CANARY]), inner, max_size=3)
    ),
)


def heard(body, status=200, **headers):
    return record(CALL, Reply(status, headers, body), now=0.0)


def test_keys_and_types():
    body = {"code": 0, "data": [{"workNo": 7, "a": None}, {"workNo": "7"}], "more": {"yes": True, "of": []}}
    assert heard(json.dumps(body).encode()).keys == {
        "code": "number",
        "data": "array",
        "data[].workNo": "number/string",
        "data[].a": "null",
        "more": "object",
        "more.yes": "boolean",
        "more.of": "array",
    }


@given(VALUES, st.binary(max_size=20))
def test_no_value_is_told_and_no_reply_is_too_odd(value, rubbish):
    for body in (json.dumps(value).encode(), json.dumps(value).encode()[:-1] + rubbish, rubbish):
        assert CANARY not in repr(heard(body))


def test_keys_that_are_values_are_not_told():
    table = {f"agent{number}": {} for number in range(100)}
    assert list(heard(json.dumps({"data": table}).encode()).keys) == ["data", "data.<100 keys>"]
    assert list(heard(b'{"agent000001@example":1}').keys) == ["<key of 19 characters>"]


def test_kinds_of_bodies():
    bodies = {
        b"": "empty",
        b" \n": "empty",
        b"<html>": "HTML",
        b"{}": "JSON",
        b"no": "other",
        b"[1]": "other",
    }
    assert {body: heard(body).kind for body in bodies} == bodies


def test_the_nesting_of_the_manuals_tables_is_seen_through():
    nested = heard(b'{"schema":{"resultCode":"0","data":[]}}')
    assert (nested.wrapper, nested.keys) == ("schema", {"resultCode": "string", "data": "array"})


def test_the_clock():
    assert heard(b"", Date="Thu, 01 Jan 1970 00:02:00 GMT").ahead == 120
    assert heard(b"", Date="yesterday").ahead is None
    assert heard(b"").ahead is None
