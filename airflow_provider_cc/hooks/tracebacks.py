"""Tracebacks that say where something failed and not with what.

Some log handlers and error trackers print the local variables of every frame: among them are headers, bodies
and passwords, which no masker has seen.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def clear(error: BaseException, until: BaseException | None = None) -> None:
    """Forget the local variables of the frames that an exception has left, and those that it came from.

    :param error: the exception; it and its traceback stay
    :param until: what was being handled before: that is the caller's, and keeps its variables
    """
    left: list[BaseException | None] = [error]
    seen = {id(until)}
    while left:
        shown = left.pop()
        if shown is None or id(shown) in seen:
            continue
        seen.add(id(shown))
        traceback.clear_frames(shown.__traceback__)
        # What it was raised in the handling of is shown with it, as its cause is.
        left += [shown.__cause__, shown.__context__]


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Let exceptions leave a function without local variables: neither its arguments nor what lies below.

    :param function: a function or a coroutine function
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        before = sys.exc_info()[1]
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear(error, before)
            raise

    @wraps(function)
    async def call_and_wait(*args: P.args, **kwargs: P.kwargs) -> Any:
        before = sys.exc_info()[1]
        try:
            return await cast(Any, function)(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear(error, before)
            raise

    return cast("Callable[P, T]", call_and_wait) if inspect.iscoroutinefunction(function) else call
