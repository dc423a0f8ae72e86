"""Replies that a strict JSON decoder refuses are read all the same, and without their passwords."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cc.api.lenient import REPLACEMENT, is_utf8, loads

JSON = "application/json"
SURE = {"returnCode": "0", "data": {"workNo": 7094}}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS.map("x".__add__), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"]))
def test_whatever_json_writes_comes_back(value, ascii_only, charset):
    body = json.dumps(value, ensure_ascii=ascii_only).encode(charset)
    assert loads(body, f"{JSON}; charset={charset}") == value


@given(VALUES)
def test_without_a_charset_it_is_utf_8(value):
    body = json.dumps(value, ensure_ascii=False).encode()
    for content_type in (None, "", JSON, "text/plain", f"{JSON};charset=UTF-8", f"{JSON};charset="):
        assert loads(body, content_type) == value


@given(st.binary(), st.text(st.characters(max_codepoint=255)) | st.none())
def test_nothing_but_a_value_error_comes_of_any_bytes(body, content_type):
    failure = None
    try:
        loads(body, content_type)
    except ValueError as error:
        failure = error
    assert failure is None or (type(failure), failure.__context__) == (ValueError, None)


@pytest.mark.parametrize("charset", ["GBK", "gbk", '"GBK"', "GB2312", "gb18030"])
@pytest.mark.parametrize("name", ["王", "囧表", "镕"])  # the last is not in GB 2312, the middle ends in 0x5C
def test_the_charset_of_the_content_type_counts(charset, name):
    body = json.dumps({"userName": name, **SURE}, ensure_ascii=False).encode("gbk")
    assert loads(body, f"application/json;charset={charset}; boundary=x") == {"userName": name, **SURE}


def test_also_where_the_bytes_are_valid_utf_8_by_accident():
    body = '"聽"'.encode("gbk")
    assert body.decode("utf-8") != '"聽"'
    assert loads(body, f"{JSON};charset=gbk") == "聽"


@pytest.mark.parametrize(
    ("content_type", "utf8"),
    [
        (None, True),
        ("", True),
        (JSON, True),
        (f"{JSON};charset=UTF-8", True),
        (f'{JSON}; Charset="utf8"', True),
        (f"{JSON};charset=GBK", False),
        (f"{JSON};charset=big5", False),
        (f"{JSON};charset=x-unknown", True),
    ],
)
def test_when_a_strict_decoder_can_be_asked(content_type, utf8):
    assert is_utf8({} if content_type is None else {"Content-Type": content_type}) is utf8


@pytest.mark.parametrize(
    "charset", ["x-unknown", "rot13", "hex", "undefined", "idna", "\x00", "é", "a b", "'"]
)
def test_a_charset_that_is_none_counts_as_utf_8(charset):
    assert loads('{"a":"é"}'.encode(), f"{JSON};charset={charset}") == {"a": "é"}


@pytest.mark.parametrize(
    ("broken", "read"),
    [
        (b'"\\ud83d"', REPLACEMENT),  # names are cut inside a pair
        (b'"a\\uDE00b"', f"a{REPLACEMENT}b"),
        (b'"\\ud83d\\ud83d\\ude00"', f"{REPLACEMENT}\U0001f600"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\ud83d"', "\\ud83d"),  # a backslash and four letters
        (b'"\\\\\\ud83d"', f"\\{REPLACEMENT}"),
        (b'["\\ud83d",["\\ud83d"]]', [REPLACEMENT, [REPLACEMENT]]),
        (b'{"\\ud83d":1}', {REPLACEMENT: 1}),
        (b'"a\tb\nc\x00"', "a\tb\nc\x00"),
        (b'"\xff\xfea"', f"{REPLACEMENT * 2}a"),
        (b'"\xed\xa0\xbd"', REPLACEMENT * 3),
        (b"-Infinity", -math.inf),
        (b"1e999", math.inf),
    ],
)
def test_what_is_broken_in_one_field_does_not_cost_the_others(broken, read):
    body = b'\xef\xbb\xbf{"returnCode":"0","odd":' + broken + b',"data":{"workNo":7094}}'
    assert loads(body, None) == {"odd": read, **SURE}
    assert json.dumps(loads(body, None), ensure_ascii=False).encode()  # nothing that could not be written


def test_not_a_number_is_accepted():
    assert math.isnan(loads(b'{"odd":NaN}', None)["odd"])


def test_of_equal_keys_the_last_counts_as_it_does_for_the_strict_decoder():
    body = b'{"workNo":1,"workNo":2}'
    assert loads(body, None) == msgspec.json.decode(body) == {"workNo": 2}


@pytest.mark.parametrize("name", ["password", "sipPwd", "agentPwd", "passwd", "PASSWORD", "p\\u0061ssword"])
def test_reply_passwords_are_left_out(name):
    body = (
        f'{{"{name}":"S3cret","results":[{{"{name}":{{"a":"S3cret"}},"workNo":1}}],"token":"t","guid":"g"}}'
    )
    assert loads(body.encode(), None) == {"results": [{"workNo": 1}], "token": "t", "guid": "g"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value at character 0"),
        (b"S3cret", "Expecting value"),
        (b'{"a":"S3cret"', "Expecting"),
        (b'{"a":S3cret}', "Expecting value at character 5"),
        (b'{"a":1}S3cret', "Extra data at character 7"),
        (b'"\\S3cret"', "Invalid"),
        (b"<html>S3cret</html>", "Expecting value"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 1_000_000, "nested too deeply"),
        (b'{"a":' + b"7" * 5000 + b"}", "an integer has too many digits"),
    ],
)
def test_what_is_no_json_is_refused_without_being_shown(body, reason):
    with pytest.raises(ValueError, match=reason) as failure:
        loads(body, None)
    assert type(failure.value) is ValueError
    assert failure.value.__context__ is None
    assert "S3cret" not in str(failure.value)
    assert "777" not in str(failure.value)
