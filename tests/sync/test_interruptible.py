"""Work in a thread ends when Airflow wants it to: by an exception in the main thread, or by `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.sync.interruptible import PATIENCE, Interruptible

Alarm = Callable[[float, Callable[[], None]], None]


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """Have a function called by a signal handler, which interrupts the main thread wherever it is."""
    before = signal.getsignal(signal.SIGUSR1)
    timers: list[threading.Timer] = []

    def start(seconds: float, action: Callable[[], None]) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: action())
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
        timers.append(timer)
        timer.start()

    yield start
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGUSR1, before)


def time_out() -> None:
    raise TimeoutError("by Airflow")


async def sleep_and_tidy(tidied: list[str], seconds: float = 0.0) -> None:
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(seconds)
        tidied.append("tidied")


def test_it_returns_what_the_work_returns() -> None:
    variable = contextvars.ContextVar[int]("variable")
    variable.set(7)
    work = Interruptible()

    async def inside() -> int:
        return variable.get()

    assert work.run(lambda: work.loop(inside())) == 7
    work.stop()  # too late, and harmless


def test_it_raises_what_the_work_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        Interruptible().run(lambda: 1 // 0)


def test_a_time_out_ends_a_loop_that_may_tidy_up(alarm: Alarm) -> None:
    work, tidied = Interruptible(), list[str]()
    alarm(0.1, time_out)
    with pytest.raises(TimeoutError, match="by Airflow"):
        work.run(lambda: work.loop(sleep_and_tidy(tidied, PATIENCE / 4)))
    assert tidied == ["tidied"]


def test_stopping_it_in_a_signal_handler_ends_a_loop(alarm: Alarm) -> None:
    work, tidied = Interruptible(), list[str]()
    alarm(0.1, work.stop)
    with pytest.raises(CCError, match="Stopped by Airflow"):
        work.run(lambda: work.loop(sleep_and_tidy(tidied)))
    assert tidied == ["tidied"]


@pytest.mark.parametrize("how", ["stop", "time_out"])
@pytest.mark.parametrize("where", ["before", "after", "without a loop", "in a thread of the loop"])
def test_what_hangs_is_not_waited_for(alarm: Alarm, how: str, where: str) -> None:
    """As a database driver does in its C code: nothing can cancel it."""
    work, freed, done = Interruptible(), threading.Event(), list[str]()

    async def nothing() -> None:
        pass

    def hang() -> None:
        if where == "after":
            work.loop(nothing())
        if where == "in a thread of the loop":
            work.loop(asyncio.to_thread(freed.wait))
        freed.wait()
        if where == "before":
            work.loop(nothing())
        done.append("done")

    alarm(0.1, work.stop if how == "stop" else time_out)
    begun = time.monotonic()
    with pytest.raises(CCError if how == "stop" else TimeoutError):
        work.run(hang)
    assert time.monotonic() - begun < 0.1 + PATIENCE + 5
    freed.set()
    time.sleep(0.1)
    assert bool(done) is (where in ("after", "without a loop"))


def test_what_is_stopped_before_it_runs_does_not_begin() -> None:
    work, begun = Interruptible(), list[str]()
    work.stop()
    with pytest.raises(CCError, match="Stopped by Airflow"):
        work.run(lambda: begun.append("begun"))
    assert begun == []


def test_stopping_it_at_any_moment_never_hangs(alarm: Alarm) -> None:
    """The handler may run at every bytecode of the main thread, with whatever locks that holds."""
    for number in range(100):
        work = Interruptible()
        alarm(number / 50_000, work.stop)
        with contextlib.suppress(CCError):
            work.run(lambda work=work: work.loop(asyncio.sleep(0.001)))  # type: ignore[misc]
