"""What threads may ask for at the same time, and is made once."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    once = cached_property
else:

    class once(cached_property):
        """A ``cached_property`` that two threads cannot make twice; Python 3.12 took its lock away."""

        _lock = threading.RLock()

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            with self._lock:
                return super().__get__(instance, owner)


class MadeAnew:
    """Leaves behind, when it is copied or pickled, what it has made from the connection, secrets and all."""

    def __getstate__(self) -> dict[str, Any]:
        kept = vars(self).items()
        return {
            name: value
            for name, value in kept
            if not isinstance(getattr(type(self), name, None), cached_property)
        }
