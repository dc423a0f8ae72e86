"""Wrappers that keep secrets from being shown or stored by accident."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


class Unpicklable:
    """Base class of objects that hold a secret: they cannot be pickled or returned to XCom."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Raise TypeError."""
        raise TypeError("a secret cannot be pickled (or returned to XCom)")


class Secret(Unpicklable):
    """Wraps a secret: prints as ``***``, cannot be pickled, and returns its value only by :meth:`reveal`.

    :param value: the secret
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"


def _clear_locals(error: BaseException, until: BaseException | None = None) -> None:
    """Clear the local variables of the frames of an exception, and of the exceptions that it came from.

    :param error: the exception; it and its traceback are kept
    :param until: the exception that the caller was handling before; it keeps its variables
    """
    left: list[BaseException | None] = [error]
    seen = {id(until)}
    while left:
        shown = left.pop()
        if shown is None or id(shown) in seen:
            continue
        seen.add(id(shown))
        traceback.clear_frames(shown.__traceback__)
        # Its context is also shown with it, like its cause.
        left += [shown.__cause__, shown.__context__]


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Remove local variables, including arguments, from the frames of exceptions that leave a function.

    Some log handlers and error trackers print the local variables of every frame. These include headers,
    bodies and passwords that no masker has seen.

    :param function: a function or a coroutine function
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        before = sys.exc_info()[1]
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _clear_locals(error, before)
            raise

    @wraps(function)
    async def call_and_wait(*args: P.args, **kwargs: P.kwargs) -> Any:
        before = sys.exc_info()[1]
        try:
            return await function(*args, **kwargs)  # type: ignore[misc]
        except BaseException as error:
            del args, kwargs
            _clear_locals(error, before)
            raise

    return cast("Callable[P, T]", call_and_wait) if inspect.iscoroutinefunction(function) else call
