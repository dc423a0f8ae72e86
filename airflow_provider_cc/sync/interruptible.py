"""Work that Airflow can stop at any time: by a time-out, raised in the main thread, or by ``on_kill``."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from airflow_provider_cc.compat import new_event_loop
from airflow_provider_cc.exceptions import CCError

T = TypeVar("T")

#: Seconds to wait for stopped coroutines to end. A database that does not answer is not waited for.
PATIENCE = 1.0
STOPPED = "Stopped by Airflow; staged answers are kept"


class Interruptible:
    """Runs one function in a separate thread, while the main thread waits.

    An event loop in the main thread would swallow exceptions that Airflow's alarm raises in its callbacks,
    and a database driver would not return from its C code until the server answers.
    """

    def __init__(self) -> None:
        # The only synchronization object that a signal handler may use, because it is reentrant.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._ends_by_itself = False

    def run(self, function: Callable[[], T]) -> T:
        """Run a function, and return what it returns.

        If the function is not in :meth:`loop` when it is stopped, it keeps running; the objects that it uses
        must make it fail.

        :param function: the work; runs coroutines by :meth:`loop`
        :raises CCError: stopped by :meth:`stop`
        """
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)
            self._wake.put(None)

        if self._stopped:
            raise CCError(STOPPED)
        context = contextvars.copy_context()
        # A daemon thread: it must not keep the process alive if a database hangs.
        thread = threading.Thread(target=context.run, args=(work,), daemon=True)
        try:
            thread.start()
            self._wake.get()
        finally:
            self.stop()
            if self._ends_by_itself:
                thread.join(PATIENCE)
        if not done.done():
            raise CCError(STOPPED)
        return done.result()

    def loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in an event loop, in the thread of :meth:`run`.

        :param coroutine: the coroutine
        :raises CCError: stopped by :meth:`stop`
        """

        async def work() -> T:
            self._task = asyncio.current_task()
            if self._stopped:
                raise asyncio.CancelledError
            return await coroutine

        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                result = runner.run(work())
        except asyncio.CancelledError:
            raise CCError(STOPPED) from None
        finally:
            self._task = None
            coroutine.close()
        if self._stopped:  # too late to cancel anything
            raise CCError(STOPPED)
        return result

    def stop(self) -> None:
        """End the work as soon as possible; may be called from any thread and from a signal handler."""
        self._stopped = True
        task = self._task
        if task is not None:
            self._ends_by_itself = True
            with suppress(RuntimeError):  # its loop has just ended
                task.get_loop().call_soon_threadsafe(task.cancel)
        self._wake.put(None)
