"""Wrappers that keep secrets from being shown or stored by accident."""

from __future__ import annotations

from typing import Any


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
