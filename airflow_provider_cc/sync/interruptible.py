"""Work that Airflow can stop at any moment: by a time-out, raised in the main thread, or by ``on_kill``."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from airflow_provider_cc.exceptions import CCError

T = TypeVar("T")

#: Seconds for stopped work to end by itself. A database that does not answer is not waited for any longer.
PATIENCE = 1.0


class Interruptible:
    """Runs one function in a thread of its own, while the main thread waits.

    An event loop in the main thread would swallow what Airflow's alarm raises in one of its callbacks, and a
    database driver would not come back from its C code until the server answers.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False

    def run(self, function: Callable[[], T]) -> T:
        """Run a function, and return what it returns.

        :param function: the work; runs coroutines by :meth:`loop`
        :raises CCError: stopped by :meth:`stop`
        """
        future: Future[T] = Future()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        context = contextvars.copy_context()
        # A daemon: it must not keep the process when it hangs in a database.
        thread = threading.Thread(target=context.run, args=(work,), daemon=True)
        thread.start()
        try:
            return future.result()
        except asyncio.CancelledError:
            raise CCError("Stopped by Airflow; what is staged stays") from None
        finally:
            if not future.done():
                self.stop()
            thread.join(PATIENCE)

    def loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in an event loop, in the thread of :meth:`run`.

        :param coroutine: the coroutine
        """

        async def work() -> T:
            self._task = asyncio.current_task()
            if self._stopped:
                raise asyncio.CancelledError
            return await coroutine

        try:
            return asyncio.run(work())
        finally:
            coroutine.close()

    def stop(self) -> None:
        """End the work as soon as possible; may be called from any thread and from a signal handler."""
        self._stopped = True
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
