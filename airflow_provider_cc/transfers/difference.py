"""What a chunk of answers changes in the table: computed from both, written by others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

#: An account and its values, in the order of the columns that the source delivers.
Row = tuple[str, tuple[Any, ...]]


class Reject(NamedTuple):
    """An account that could not be read.

    :param account: sign-in account
    :param endpoint: what was asked
    :param code: how it failed
    :param message: in words
    :param declined: the contact centre knows no such agent; worth asking the directory whether it is gone
    """

    account: str
    endpoint: str
    code: str
    message: str
    declined: bool = False


@dataclass
class Chunk:
    """What is written in one transaction.

    :param rows: accounts that were read
    :param rejects: accounts that were not
    :param gone: accounts that the directory no longer knows
    """

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejects)


class Known(NamedTuple):
    """A row of the table.

    :param values: in the order of the columns that the source delivers
    :param is_active: whether the directory, or a query, still knew the account
    :param synced_at: when it was last seen; ``None`` in a row from before the column was there
    """

    values: tuple[Any, ...]
    is_active: bool
    synced_at: datetime | None


@dataclass
class Difference:
    """Which rows of a chunk are new, changed, back, as before, gone, or left to a later run.

    :param added: rows that the table lacks
    :param changed: rows with another value
    :param reactivated: rows that had been closed
    :param unchanged: accounts whose row is as before
    :param later: accounts whose row a run that began later has already stamped; left alone
    :param gone: accounts to close
    """

    added: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    reactivated: list[Row] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def compare(chunk: Chunk, known: Mapping[str, Known], stamp: datetime) -> Difference:
    """Compare answers with what the table holds.

    :param chunk: the answers
    :param known: the table's rows of these accounts
    :param stamp: when this run began
    """
    difference = Difference()
    for row in chunk.rows:
        account, values = row
        before = known.get(account)
        if before is None:
            difference.added.append(row)
        elif before.synced_at is not None and before.synced_at > stamp:
            difference.later.append(account)
        elif not before.is_active:
            difference.reactivated.append(row)
        elif before.values != values:
            difference.changed.append(row)
        else:
            difference.unchanged.append(account)
    for account in chunk.gone:
        before = known.get(account)
        if before is None or not before.is_active:
            continue
        if before.synced_at is None or before.synced_at <= stamp:
            difference.gone.append(account)
    return difference
