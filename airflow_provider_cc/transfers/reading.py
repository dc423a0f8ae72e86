"""Which columns a source delivers, and how they are read from its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_cc.transfers.columns import Column


class Reading:
    """Turns the answers about an account into the values of a row.

    :param columns: all columns of the table
    :param answers: the kinds of answer that the source gives for an account; where two have a column, the
        first one counts
    :param leave_out: columns not to deliver
    """

    def __init__(
        self, columns: Sequence[Column], answers: Sequence[type], leave_out: Sequence[str] = ()
    ) -> None:
        #: The columns that are delivered; no other one is compared or written.
        self.names: list[str] = []
        self._readers: list[tuple[int, Callable[[Any], Any]]] = []
        for column in columns:
            place = next((place for place, kind in enumerate(answers) if kind in column.read), None)
            if place is not None and column.name not in leave_out:
                self.names.append(column.name)
                self._readers.append((place, column.read[answers[place]]))

    def values(self, answers: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the values of the delivered columns.

        :param answers: one of each kind
        """
        return tuple([read(answers[place]) for place, read in self._readers])
