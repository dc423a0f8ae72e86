"""The columns of an agent, and how a source's answers fill them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.api.management import AgentInfo, AgentLoginParams, DirectoryAgent


@dataclass(frozen=True)
class Column:
    """A column of the agent table, and of its history.

    :param name: column name
    :param type: SQL type
    :param read: how to read it from each kind of answer that contains it. If a source returns several,
        :class:`Reading` determines which one counts. If none contains it, the column stays unchanged
    """

    name: str
    type: Any
    read: Mapping[type, Callable[[Any], Any]]


def _from(*answers: type, attribute: str) -> Mapping[type, Callable[[Any], Any]]:
    return dict.fromkeys(answers, attrgetter(attribute))


AGENT_COLUMNS: tuple[Column, ...] = (
    Column("agent_id", sa.Integer(), _from(AgentInfo, DirectoryAgent, attribute="agent_id")),
    Column("agent_type", sa.Integer(), _from(AgentInfo, DirectoryAgent, attribute="agent_type")),
    Column("agent_status", sa.String(64), _from(AgentInfo, attribute="agent_status")),
    Column(
        "softphone_number",
        sa.String(64),
        _from(DirectoryAgent, AgentLoginParams, attribute="softphone_number"),
    ),
)
"""The default columns of an agent."""


class Reading:
    """Turns the answers about an account into the values of a row.

    :param columns: all columns of the table
    :param answers: the kinds of answer that the source returns for an account; if two contain a column, the
        first one counts
    :param leave_out: columns to leave unchanged
    """

    def __init__(
        self, columns: Sequence[Column], answers: Sequence[type], leave_out: Sequence[str] = ()
    ) -> None:
        #: The columns that the source returns; no other columns are compared or written.
        self.names: list[str] = []
        self._readers: list[tuple[int, Callable[[Any], Any]]] = []
        for column in columns:
            place = next((place for place, kind in enumerate(answers) if kind in column.read), None)
            if place is not None and column.name not in leave_out:
                self.names.append(column.name)
                self._readers.append((place, column.read[answers[place]]))

    def values(self, answers: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the values of the columns that the source returns.

        :param answers: one of each kind
        """
        return tuple([read(answers[place]) for place, read in self._readers])
