"""Values that must not be seen by accident."""

from __future__ import annotations

from typing import Any


class Unpicklable:
    """Holds a secret, and so must not be written down: neither pickled nor returned to XCom."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse."""
        raise TypeError("a secret cannot be pickled (or returned to XCom)")


class Secret(Unpicklable):
    """Wraps a secret: prints as ``***``, refuses to be pickled, tells its value only when asked.

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
