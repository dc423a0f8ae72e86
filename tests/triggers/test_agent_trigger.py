"""What the triggerer runs: one event, whatever happens, and nothing that holds up the other triggers."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from airflow_provider_cc.compat import BaseHook
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCError,
    CCTransientError,
)
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.simulator import Simulator
from airflow_provider_cc.triggers.events import failure_of
from airflow_provider_cc.triggers.management import CCAgentTrigger
from tests.operators.conftest import Connect, assert_no_secret
from tests.operators.test_management import expected

INFO, TOKEN = "queryAgentInfoByAccount", "tokenByAkSk"
NEW = "new.one"
#: How long somebody else keeps us waiting, and how long we may keep others waiting: busy machines stutter.
SLOW, STUTTER = 2.0, 1.0


def trigger(**arguments: Any) -> CCAgentTrigger:
    arguments = {
        "account_code": NEW,
        "agent_status": None,
        "cc_conn_id": "cc_management_default",
        "poke_interval": 0.02,
        "max_unanswered": 2,
        "ends_at": datetime.now(UTC) + timedelta(seconds=60),
        **arguments,
    }
    return CCAgentTrigger(**arguments)


async def fire(waiting: CCAgentTrigger) -> Any:
    """Run a trigger as the triggerer does; return its only event, which must fit the metadata database."""
    events = [event async for event in waiting.run()]
    (payload,) = [event.payload for event in events]
    assert json.loads(json.dumps(payload)) == payload
    return payload


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def answers(center: Simulator) -> int:
    return center.stats.statuses_by_endpoint.get(INFO, {}).get(200, 0)


def unclosed() -> list[aiohttp.ClientSession]:
    gc.collect()
    # By their type: Airflow has objects that import something when they are asked what they are.
    return [each for each in gc.get_objects() if type(each) is aiohttp.ClientSession and not each.closed]


async def test_fires_when_the_agent_is_there(center: Simulator) -> None:
    waiting = asyncio.create_task(fire(trigger()))
    await until(lambda: center.stats.requests(INFO) >= 3)
    assert not waiting.done()
    (session,) = unclosed()

    center.add_agent(NEW)

    assert await waiting == {"agent": expected(center, NEW)}
    assert center.stats.sign_ins() == 1
    assert session.closed


async def test_goes_on_elsewhere_with_what_it_serialized(center: Simulator) -> None:
    first = trigger(agent_status="7")
    waiting = asyncio.create_task(fire(first))
    await until(lambda: center.stats.requests(INFO) >= 2)
    waiting.cancel()

    path, arguments = first.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**arguments)
    center.add_agent(NEW, agent_status="7")

    assert await fire(again) == {"agent": expected(center, NEW)}
    assert again.serialize() == first.serialize()
    assert center.stats.sign_ins() == 2


class OwnTrigger(CCAgentTrigger):
    """A user's subclass."""


async def test_a_subclass_goes_on_elsewhere_as_itself(center: Simulator) -> None:
    first = OwnTrigger(**trigger().serialize()[1])

    path, arguments = first.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**arguments)
    center.add_agent(NEW)

    assert type(again) is OwnTrigger
    assert await fire(again) == {"agent": expected(center, NEW)}


async def test_lapsed_sessions_are_acquired_again(center: Simulator) -> None:
    waiting = asyncio.create_task(fire(trigger()))
    for sign_ins in (1, 2, 3):
        answered = answers(center)
        await until(lambda answered=answered: answers(center) >= answered + 2)
        assert center.stats.sign_ins() == sign_ins
        center.expire_sessions()
    await until(lambda: center.stats.sign_ins() == 4)
    center.add_agent(NEW)

    assert (await waiting)["agent"]
    assert center.stats.sign_ins() == 4


async def test_waits_before_it_asks_as_the_worker_has_just_asked(center: Simulator) -> None:
    center.add_agent(NEW)
    begun = time.monotonic()

    assert (await fire(trigger(poke_interval=0.5)))["agent"]
    assert time.monotonic() - begun >= 0.5


async def test_ends_in_vain_after_a_last_question(center: Simulator) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=0.5)

    assert await fire(trigger(poke_interval=3600, ends_at=ends_at)) == {"agent": None}
    assert datetime.now(UTC) >= ends_at
    assert center.stats.requests(INFO) == 1


async def test_a_refused_credential_is_an_event_and_the_end(center: Simulator) -> None:
    center.settings.app_secret = "another"

    error = failure_of(await fire(trigger()))

    assert type(error) is CCAuthError
    assert "HTTP 403" in str(error)
    assert (center.stats.refused(), center.stats.requests()) == (1, 1)


async def test_so_is_one_that_is_refused_later(center: Simulator) -> None:
    waiting = asyncio.create_task(fire(trigger()))
    await until(lambda: center.stats.requests(INFO) >= 2)
    center.settings.app_secret = "another"
    center.expire_sessions()

    assert isinstance(failure_of(await waiting), CCAuthError)
    assert (center.stats.sign_ins(), center.stats.refused()) == (1, 1)


async def test_a_session_that_is_never_accepted_is_signed_in_for_once(center: Simulator) -> None:
    center.faults.errors, center.faults.only = {401: 1.0}, {INFO}

    assert isinstance(failure_of(await fire(trigger())), CCAuthError)
    assert center.stats.sign_ins() == 1


async def test_an_incomplete_connection_is_an_event(center: Simulator, connect: Connect) -> None:
    connect("half", **{**center.connections()["cc_management_default"], "password": None})

    error = failure_of(await fire(trigger(cc_conn_id="half")))

    assert type(error) is CCConfigError
    assert "app secret" in str(error)


async def test_a_connection_that_only_workers_know_is_an_event(center: Simulator) -> None:
    error = failure_of(await fire(trigger(cc_conn_id="nowhere")))

    assert type(error) is CCConfigError
    assert "'nowhere' is not defined in the triggerer" in str(error)


async def test_a_declined_question_is_an_event(center: Simulator) -> None:
    center.add_agent(NEW)
    center.faults.overrides = {NEW: (200, {"returnCode": "42"})}

    error = failure_of(await fire(trigger()))

    assert isinstance(error, CCBusinessError)
    assert error.code == "42"


async def test_too_many_unanswered_questions_are_an_event(center: Simulator) -> None:
    center.faults.errors, center.faults.only = {503: 1.0}, {INFO}

    assert isinstance(failure_of(await fire(trigger(max_unanswered=2))), CCTransientError)
    assert center.stats.requests(INFO) == 3 * 5


async def test_a_defect_is_an_event_without_its_text(
    center: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("who knows what stands in here")

    monkeypatch.setattr(CCManagementHook, "bulk", fail)

    error = failure_of(await fire(trigger()))

    assert type(error) is CCError
    assert "RuntimeError" in str(error)
    assert "who knows" not in str(error)
    assert "RuntimeError" in caplog.text


async def test_cancelled_it_closes_its_connections(center: Simulator) -> None:
    waiting = asyncio.create_task(fire(trigger()))
    await until(lambda: center.stats.requests(INFO) >= 2)
    (session,) = unclosed()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert session.closed


async def test_the_event_loop_is_never_held_up(center: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow look-up of the connection, a slow sign-in, slow answers: other triggers do not notice."""
    center.faults.latency = SLOW
    look_up = BaseHook.get_connection

    def slow(conn_id: str) -> Any:
        time.sleep(SLOW)
        return look_up(conn_id)

    monkeypatch.setattr(CCManagementHook, "get_connection", staticmethod(slow))
    beats = [time.monotonic()]

    async def heart() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    center.add_agent(NEW)
    beating = asyncio.create_task(heart())
    begun = time.monotonic()
    assert (await fire(trigger()))["agent"]
    beats.append(time.monotonic())
    beating.cancel()

    assert time.monotonic() - begun >= 3 * SLOW
    assert max(later - earlier for earlier, later in pairwise(beats)) < STUTTER


async def test_neither_event_nor_arguments_nor_log_hold_a_secret(
    center: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    center.settings.echo_secrets = True
    center.add_agent(NEW)
    waiting = trigger()
    seen = [await fire(waiting), waiting.serialize(), repr(waiting)]
    center.settings.app_secret = "another"
    seen.append(await fire(waiting))

    center.settings.app_secret = type(center.settings).app_secret
    assert_no_secret(center, *seen, caplog.text)
