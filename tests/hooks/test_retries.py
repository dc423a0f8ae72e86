"""Which failures are tried again, how often, and after what time; by both clients alike."""

from __future__ import annotations

import time

import pytest

from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError, CCTransientError
from airflow_provider_cc.hooks import transport
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import EVERY_CLIENT, INFO, PLAIN, TOKEN, at_once, http, info, read_request

SIGNED_IN = b'{"AccessToken":"the-token"}'


class Script:
    """Answers the calls of a server in turn; the sign-in always succeeds."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.calls = []

    def __call__(self, connection):
        while request := read_request(connection):
            if TOKEN.encode() in request.partition(b"\r\n")[0]:
                connection.sendall(http(SIGNED_IN))
                continue
            self.calls.append(time.monotonic())
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if reply is None:
                return
            connection.sendall(reply)


@pytest.fixture
def scripted(serve, connect):
    """A hook whose server answers calls in the order given, the last one for ever."""

    def scripted(*replies, **extra):
        script = Script(*replies)
        connect("scripted", PLAIN, port=serve(script).port, extra=extra)
        return CCManagementHook("scripted"), script

    return scripted


BROKEN = http().replace(b"Content-Length: ", b"Content-Length: 9")


@EVERY_CLIENT
@pytest.mark.parametrize(
    "failures",
    [
        [http(b"", f"{status} Later") for status in (408, 502, 503, 504)],
        [http(b"", "429 Later"), None, BROKEN],
    ],
    ids=["statuses", "429 and connections that end or break inside the reply"],
)
def test_passing_failures_are_survived(scripted, ask, failures):
    hook, script = scripted(*failures, http(), timeout=0.3)
    assert ask(hook, info()).agent_id == 7094
    assert len(script.calls) == len(failures) + 1


@EVERY_CLIENT
def test_a_time_out_is_survived(cc, reconnect, ask):
    reconnect("cc_management_default", extra={"timeout": 0.25})
    hook = CCManagementHook()
    hook.send(info())
    cc.faults.slow_share, cc.faults.slow_seconds, cc.faults.only = 0.5, 0.6, {INFO}
    assert [ask(hook, info()).agent_id for _ in range(4)] == [10001] * 4
    assert cc.stats.requests(INFO) > 5


@EVERY_CLIENT
@pytest.mark.parametrize("reply", [http(b"", "503 Later"), None], ids=["503", "reset"])
def test_no_call_is_made_more_than_five_times(scripted, ask, reply):
    hook, script = scripted(reply)
    with pytest.raises(CCTransientError):
        ask(hook, info())
    assert len(script.calls) == transport.MAX_TRIES == 5


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (http(b"", "400 Bad"), CCBusinessError),
        (http(b"", "404 Not found"), CCBusinessError),
        (http(b"", "500 Failure"), CCBusinessError),
        (http(b"", "501 Never heard"), CCResponseError),
        (http(b"", "302 Elsewhere", "Location: /elsewhere\r\n"), CCResponseError),
        (http(b'{"returnCode":"1"}'), CCBusinessError),
        (http(b"<html>"), CCResponseError),
        (http(b"{}"), CCResponseError),
        (b"no HTTP at all\r\n\r\n", CCResponseError),
    ],
    ids=["400", "404", "500", "501", "302", "declined", "HTML", "no code", "no HTTP"],
)
def test_what_another_try_cannot_mend_is_not_tried_again(scripted, ask, reply, error):
    hook, script = scripted(reply)
    with pytest.raises(error):
        ask(hook, info())
    assert len(script.calls) == 1


@EVERY_CLIENT
def test_the_gateways_busy_codes_are_tried_again(scripted, ask):
    from airflow_provider_cc.api.gateway import any_gateway_call

    busy, done = http(b'{"retcode":"000-004"}'), http(b'{"retcode":"0"}')
    hook, script = scripted(busy, busy, done)
    assert ask(hook, any_gateway_call("GET", "config/any")) == {"retcode": "0"}
    assert len(script.calls) == 3


@EVERY_CLIENT
def test_a_retry_after_is_waited_for(scripted, ask):
    hook, script = scripted(http(b"", "503 Later", "Retry-After: 0.4\r\n"), http())
    ask(hook, info())
    assert 0.4 <= script.calls[1] - script.calls[0] < 1.0


@EVERY_CLIENT
def test_a_retry_after_is_waited_for_no_longer_than_the_limit(scripted, ask, monkeypatch):
    monkeypatch.setattr(transport, "MAX_WAIT", 0.1)
    hook, script = scripted(http(b"", "503 Later", "Retry-After: 86400\r\n"), http())
    monkeypatch.setattr("airflow_provider_cc.hooks.rate_limit.MAX_PAUSE", 0.1)
    ask(hook, info())
    assert script.calls[1] - script.calls[0] < 1.0


@EVERY_CLIENT
def test_no_try_begins_after_the_time_for_all_is_over(scripted, ask, monkeypatch):
    monkeypatch.setattr(transport, "MAX_SECONDS", 0.3)
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 0.4)
    monkeypatch.setattr(transport, "LONGEST_BACK_OFF", 0.4)
    monkeypatch.setattr(transport.random, "uniform", lambda least, most: most)
    hook, script = scripted(http(b"", "503 Later"))
    with pytest.raises(CCTransientError):
        ask(hook, info())
    assert len(script.calls) <= 2


def test_the_wait_doubles_up_to_a_limit_and_is_jittered(monkeypatch):
    monkeypatch.setattr(transport, "FIRST_BACK_OFF", 1.0)
    monkeypatch.setattr(transport, "LONGEST_BACK_OFF", 20.0)
    for tries, longest in enumerate([1, 2, 4, 8, 16, 20, 20], start=1):
        waits = [transport.pause(None, tries) for _ in range(500)]
        assert 0 < min(waits) < 0.2 * longest
        assert 0.8 * longest < max(waits) <= longest


@EVERY_CLIENT
def test_the_failure_of_the_last_try_is_the_one_that_is_raised(scripted, ask):
    hook, _ = scripted(*[http(b"", "503 Later")] * 4, http(b'{"message":"still switching"}', "504 Later"))
    with pytest.raises(CCTransientError) as failure:
        ask(hook, info())
    assert (failure.value.endpoint, failure.value.code, failure.value.text) == (
        INFO,
        "HTTP 504",
        "still switching",
    )


def test_an_unlucky_call_does_not_hold_up_the_others(cc, management):
    cc.faults.overrides = {"agent000003": (503, "")}
    results = at_once(management, [info(account) for account in cc.accounts(limit=10)])
    assert [type(result).__name__ for result in results].count("AgentInfo") == 9
    assert isinstance(results[3], CCTransientError)


def test_bulk_requests_are_counted_with_the_repeated_ones(scripted):
    import asyncio

    hook, script = scripted(http(b"", "503 Later"), http())

    async def run():
        async with hook.bulk() as bulk:
            await bulk.call(info())
            return bulk.requests

    assert asyncio.run(run()) == len(script.calls) == 2


async def test_a_cancelled_call_leaves_the_others_and_the_session_alone(cc, management):
    import asyncio

    cc.faults.latency, cc.faults.only = 0.2, {TOKEN, INFO}
    async with management.bulk() as bulk:
        calls = [asyncio.create_task(bulk.call(info(account))) for account in cc.accounts(limit=10)]
        await asyncio.sleep(0.05)  # the sign-in is under way
        calls[0].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert [result.agent_id for result in results[1:]] == list(range(10002, 10011))
        assert (await bulk.call(info())).agent_id == 10001
    assert cc.stats.sign_ins() == 1
