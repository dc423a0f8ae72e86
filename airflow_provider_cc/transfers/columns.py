"""What is kept of an agent: which column, of which SQL type, read from which answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    :param read: how to read it from each kind of answer that has it; for which one counts where a source
        gives several, see :class:`~airflow_provider_cc.transfers.reading.Reading`. A source none of whose
        answers has it leaves the column alone
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
"""What the sync keeps of an agent, unless a subclass says otherwise."""
