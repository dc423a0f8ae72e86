"""A bulk run finds the pace that the server allows, and keeps to the one that the connection sets."""

from __future__ import annotations

import asyncio
import collections
import itertools
import selectors
import time
from types import SimpleNamespace

import pytest

from airflow_provider_cc.hooks import rate_limit
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.hooks.rate_limit import RateLimiter
from tests.hooks.support import INFO, at_once, info


class World:
    """Time that passes only by waiting, and a server that accepts so many requests in each second."""

    def __init__(self, limit):
        self.now = 1000.0
        self.limit = limit
        self.accepted = []
        self.refused = []
        self._in_window = {}

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds

    def ask(self):
        window = int(self.now)
        self._in_window[window] = self._in_window.get(window, 0) + 1
        if self._in_window[window] > self.limit:
            self.refused.append(self.now)
            return False
        self.accepted.append(self.now)
        return True

    async def run(self, pace, seconds, retry_after=None, cost=0.001):
        """Ask for so long, one request after the other, each of which takes a moment."""
        end = self.now + seconds
        while self.now < end:
            if pace.limits:
                await pace.turn()
            self.now += cost
            if self.ask():
                pace.accepted()
            else:
                pace.refused(retry_after)

    def rate(self, begin, end):
        """Accepted requests a second between two moments of the run."""
        return sum(1000 + begin <= moment < 1000 + end for moment in self.accepted) / (end - begin)


@pytest.fixture
def world(monkeypatch):
    def world(limit):
        world = World(limit)
        monkeypatch.setattr(rate_limit, "time", world)
        monkeypatch.setattr(rate_limit.asyncio, "sleep", world.sleep)
        return world

    return world


@pytest.mark.parametrize("limit", [5, 50, 500])
async def test_the_rate_ends_near_what_the_server_accepts(world, limit):
    world = world(limit)
    await world.run(RateLimiter(), 60)
    assert 0.85 * limit <= world.rate(10, 60) <= limit
    assert len(world.refused) < (0.05 if limit > 10 else 0.15) * len(world.accepted)


async def test_the_rate_rises_again_when_the_server_allows_more(world):
    world = world(50)
    free = RateLimiter()
    await world.run(free, 20)
    world.limit = 200
    await world.run(free, 15)
    assert world.rate(25, 35) > 150


async def test_nothing_waits_while_nothing_is_refused(world):
    world, free = world(10**9), RateLimiter()
    await world.run(free, 1)
    assert not free.limits
    assert len(world.accepted) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize(("asked", "pause"), [(None, 1.0), (3.0, 3.0), (0.0, 0.0), (10_000.0, 60.0)])
async def test_everybody_pauses_for_as_long_as_the_server_asks(world, asked, pause):
    world, shared = world(10**9), RateLimiter()
    shared.accepted()
    shared.refused(asked)
    await shared.turn()
    assert world.now - 1000.0 == pytest.approx(pause, abs=1.0)
    assert world.now - 1000.0 >= pause


@pytest.mark.parametrize("ceiling", [0.5, 20, 300])
async def test_a_ceiling_is_kept_to_from_the_beginning(world, ceiling):
    world = world(10**9)
    await world.run(RateLimiter(ceiling), 30, cost=0.0001)
    assert len(world.accepted) / 30 == pytest.approx(ceiling, rel=0.1)


async def test_a_ceiling_stays_one_after_a_refusal(world):
    world, ceiling = world(20), RateLimiter(40)
    await world.run(ceiling, 20)
    world.limit = 10**9
    await world.run(ceiling, 30)
    assert world.rate(30, 50) == pytest.approx(40, rel=0.1)


class PassingTime(selectors.DefaultSelector):
    """Lets an event loop's time pass at once, up to its next timer."""

    now = 1000.0

    def select(self, timeout=None):
        assert timeout is not None, "nothing would ever happen"
        self.now += max(0.0, timeout)
        return super().select(0)


def test_runs_share_a_limit_fairly_and_take_up_what_one_of_them_frees(monkeypatch):
    selector = PassingTime()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    server = World(120)
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=loop.time))
    accepted = [collections.Counter() for _ in range(3)]

    async def run(number, seconds):
        limiter = RateLimiter()

        async def ask():
            while (second := int(selector.now) - 1000) < seconds:
                if limiter.limits:
                    await limiter.turn()
                await asyncio.sleep(0.02 + number / 1000)
                server.now = selector.now
                if server.ask():
                    limiter.accepted()
                    accepted[number][second] += 1
                else:
                    limiter.refused(1.0)
                    await asyncio.sleep(1.0)

        await asyncio.gather(*(ask() for _ in range(8)))

    async def run_all():
        await asyncio.gather(*map(run, range(3), (20, 40, 40)))

    loop.run_until_complete(run_all())
    loop.close()

    def rate(number, first, last):
        return sum(accepted[number][second] for second in range(first, last)) / (last - first)

    assert [rate(number, 5, 20) for number in range(3)] == pytest.approx([40] * 3, rel=0.5)
    assert sum(rate(number, 5, 20) for number in range(3)) > 0.9 * 120
    assert sum(rate(number, 25, 40) for number in (1, 2)) > 0.9 * 120
    assert len(server.refused) < 0.04 * len(server.accepted)


# With a contact center and a real clock


def test_a_bulk_run_ends_near_the_rate_that_the_center_accepts(cc, management):
    management.sessions.sign_in()
    cc.faults.rate_limit = 150
    cc.stats.reset()
    calls = [info(account) for account in itertools.islice(itertools.cycle(cc.accounts()), 400)]
    turn = asyncio.Semaphore(16)

    async def run():
        async with management.bulk() as bulk:

            async def ask(call):
                async with turn:
                    return await bulk.call(call)

            return await asyncio.gather(*map(ask, calls))

    begun = time.monotonic()
    assert len(asyncio.run(run())) == 400
    assert 1.5 < time.monotonic() - begun < 30
    assert cc.stats.statuses[429] < 60


def test_a_pause_that_one_call_was_asked_for_is_kept_by_all(cc, management):
    management.sessions.sign_in()
    cc.faults.rate_limit, cc.faults.retry_after = 1, 1
    cc.stats.reset()

    async def run():
        async with management.bulk() as bulk:
            await asyncio.gather(*(bulk.call(info()) for _ in range(3)))

    begun = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - begun >= 1
    assert cc.stats.statuses[429] <= 4


async def test_declined_calls_count_as_accepted(cc, management, monkeypatch):
    accepted = []
    monkeypatch.setattr(RateLimiter, "accepted", lambda self: accepted.append(self))
    async with management.bulk() as bulk:
        await asyncio.gather(*(bulk.call(info("nobody")) for _ in range(5)), return_exceptions=True)
    assert len(accepted) == 5


def test_the_ceiling_of_the_connection_is_kept(cc, reconnect):
    reconnect("cc_management_default", extra={"requests_per_second": "40"})
    hook = CCManagementHook()
    hook.sessions.sign_in()
    begun = time.monotonic()
    at_once(hook, [info(account) for account in cc.accounts(limit=41)])
    assert time.monotonic() - begun >= 1.0
    assert cc.stats.requests(INFO) == 41


# Time that a limit costs


def test_the_seconds_that_a_limit_costs_are_counted_once_for_all_who_wait(cc, reconnect):
    reconnect("cc_management_default", extra={"requests_per_second": "20"})
    hook = CCManagementHook()
    hook.sessions.sign_in()

    async def run():
        async with hook.bulk() as bulk:
            await asyncio.gather(*(bulk.call(info()) for _ in range(21)))
            return bulk.throttled_seconds

    begun = time.monotonic()
    throttled = asyncio.run(run())
    assert 0.8 <= throttled <= time.monotonic() - begun


def test_a_pause_that_the_server_asks_for_is_counted_in_full(cc, management):
    management.sessions.sign_in()
    cc.faults.rate_limit, cc.faults.retry_after = 0, 1

    async def run():
        async with management.bulk() as bulk:
            call = asyncio.create_task(bulk.call(info()))
            await asyncio.sleep(0.5)
            cc.faults.rate_limit = None
            await call
            return bulk.throttled_seconds

    begun = time.monotonic()
    throttled = asyncio.run(run())
    assert 0.9 <= throttled <= time.monotonic() - begun


async def test_a_server_that_takes_its_time_is_no_limit(cc, management):
    management.sessions.sign_in()
    cc.faults.latency = 0.2
    async with management.bulk() as bulk:
        await asyncio.gather(*(bulk.call(info()) for _ in range(5)))
        assert bulk.throttled_seconds == 0
