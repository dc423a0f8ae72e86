"""Whatever comes back, a call ends in a right value or in an exception of ours, soon, and says no secret."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from airflow_provider_cc.api.gateway import PhoneToken
from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent, DirectoryPage
from airflow_provider_cc.api.protocol import Reply, Session, fits_header, retry_after, understand
from airflow_provider_cc.exceptions import CCError, CCTransientError
from tests.api.support import CALLS
from tests.api.test_replies import GOOD, GUID_HEADER
from tests.hostile.replies import HEADERS, STATUSES, TEXTS, VALUES, bodies

#: Seconds that reading a small reply may take on a busy machine.
SOON = 10.0
CANARY = "Canary-amber-quartz-90d1"


def is_number(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < 2**31


def is_text(value: Any, most: int = 64) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


def is_right(value: Any) -> bool:
    """Whether a result is one that the manual allows."""
    match value:
        case AgentInfo():
            return (
                value.account == "Agents"
                and is_number(value.agent_id, 1)
                and (value.agent_type is None or is_number(value.agent_type))
                and is_text(value.agent_status)
            )
        case AgentLoginParams():
            servers = [
                part
                for server in value.sip_servers
                for part in (server.host, server.port, server.node, server.type)
            ]
            return (
                value.account == "ls120201"
                and is_number(value.agent_id, 1)
                and all(part is None or is_text(part) for part in [value.softphone_number, *servers])
            )
        case DirectoryAgent():
            return (
                is_text(value.account, 100)
                and all(part is None or is_number(part) for part in (value.agent_id, value.agent_type))
                and (value.softphone_number is None or is_text(value.softphone_number))
            )
        case DirectoryPage():
            return (value.total is None or is_number(value.total)) and all(map(is_right, value.agents))
        case PhoneToken():
            return value.softphone_number is None or is_text(value.softphone_number)
        case Session():
            times = (value.lifetime, value.refresh_lifetime)
            return all(map(fits_header, value.secrets)) and all(
                part is None or (isinstance(part, int | float) and part > 0) for part in times
            )
        case list():
            return all(map(is_right, value))
        case str():  # a new Guid
            return fits_header(value)
        case None | dict():
            return True
    return False


def read(name: str, status: int, headers: dict[str, str], body: bytes) -> Any:
    """Read a reply; insist on what must hold of every outcome."""
    begun = time.monotonic()
    try:
        outcome = understand(CALLS[name], Reply(status, CaseInsensitiveDict(headers), body), (CANARY,))
    except CCError as error:
        outcome = error
    assert time.monotonic() - begun < SOON
    if isinstance(outcome, CCError):
        said = str(outcome)
        assert CANARY not in f"{said} {outcome.args} {vars(outcome)}"
        assert said.isprintable()
        assert len(said) < 1500
        assert outcome.__cause__ is None
        again = pickle.loads(pickle.dumps(outcome))  # noqa: S301 - our own
        assert (type(again), again.args) == (type(outcome), outcome.args)
        if isinstance(outcome, CCTransientError) and outcome.retry_after is not None:
            assert outcome.retry_after >= 0
    else:
        assert is_right(outcome), outcome
    return outcome


@pytest.mark.parametrize("name", CALLS)
def test_any_reply_is_read_or_refused(name):
    @given(STATUSES, HEADERS, bodies(name))
    @example(200, {}, b"")
    @example(200, {"Content-Type": "\xa0"}, '{"\u3000\xa0": 1}'.encode())
    @example(200, {}, b"null")
    @example(200, {}, b'{"schema":' * 5000 + b"1" + b"}" * 5000)
    @example(200, {}, b"[" * 100_000)
    @example(200, {"Set-GUID": "JSESSIONID=two words"}, b'{"retcode": "0"}')
    def check(status, headers, body):
        read(name, status, headers, body)

    check()


@pytest.mark.parametrize("name", CALLS)
def test_no_place_in_a_reply_lets_a_secret_out(name):
    echo = st.sampled_from(
        [CANARY, f"no: {CANARY}!", f"\u200b{CANARY[:7]}\x00{CANARY[7:]}", f"{CANARY}" * 90]
    )
    codes = ("returnCode", "resultCode", "retcode", "result")
    texts = ("description", "message", "msg", "resultMessage", "resultDesc", CANARY, "data")

    @given(
        STATUSES,
        st.dictionaries(st.sampled_from(codes), st.one_of(echo, st.sampled_from(["1", "107-003", 7]))),
        st.dictionaries(st.sampled_from(texts), st.one_of(echo, VALUES)),
        st.sampled_from(["Content-Type", "Set-GUID", "Retry-After"]),
        echo,
    )
    def check(status, codes, texts, header, value):
        value = "".join(char for char in value if char.isprintable())
        read(name, status, {header: value}, json.dumps({**texts, **codes}).encode())

    check()


@pytest.mark.parametrize("name", ["queryAgentInfoByAccount", "config/login", "auth/login", "logininfo"])
def test_the_last_of_two_equal_keys_counts_as_in_every_reader_of_json(name):
    @given(VALUES)
    def check(other):
        good = json.dumps(GOOD[name])
        for key in GOOD[name]:
            doubled = f"{{{json.dumps(key)}: {json.dumps(other)}, {good[1:]}".encode()
            once = read(name, 200, GUID_HEADER, good.encode())
            twice = read(name, 200, GUID_HEADER, doubled)
            assert isinstance(twice, CCError) or repr(twice) == repr(once)

    check()


@given(st.one_of(TEXTS, HEADERS.map(lambda headers: headers.get("Retry-After", "")), st.floats().map(str)))
@example("Mon, 01 Jan 0001 00:00:00 -0000")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("inf")
def test_any_retry_after_is_a_number_of_seconds_or_nothing(value):
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0
