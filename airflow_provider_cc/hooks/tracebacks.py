"""Tracebacks that say where something failed and not with what.

Some log handlers and error trackers print the local variables of every frame: among them are headers, bodies
and passwords, which no masker has seen.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def clear(error: BaseException) -> None:
    """Forget the local variables of the frames that an exception has left, and those that it came from.

    :param error: the exception; it and its traceback stay
    """
    shown: BaseException | None = error
    while shown is not None:
        traceback.clear_frames(shown.__traceback__)
        shown = shown.__cause__


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Let exceptions leave a function without local variables: neither its arguments nor what lies below.

    :param function: a function or a coroutine function
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear(error)
            raise

    @wraps(function)
    async def call_and_wait(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return await cast(Any, function)(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear(error)
            raise

    return cast("Callable[P, T]", call_and_wait) if inspect.iscoroutinefunction(function) else call
