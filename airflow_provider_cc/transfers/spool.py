"""The accounts of a run, in a private temporary file: dedupes and remembers in constant memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

#: Accounts handled at a time.
BATCH = 1000

#: To be asked for; finished by an earlier try; met on a page of the directory in this try.
_WAITING, _DONE, _MET = 0, 1, 2


class Spool:
    """Account codes, each once, in the order they came; used by one thread at a time.

    The file holds account codes and softphone numbers, never a password, and is gone with the run.
    """

    def __enter__(self) -> Spool:
        # A database without a name is a file that SQLite takes out of its folder as soon as it is open: a
        # task that is killed leaves nothing, either. Several threads use it, one after the other.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            # It need not survive a crash: no journal, no waiting for the disk.
            """
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE account (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, state INTEGER NOT NULL);
            CREATE TABLE bad (code TEXT PRIMARY KEY, shown TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
            CREATE TABLE answer (code TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
            BEGIN;
            """
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add(self, codes: Iterable[str]) -> int:
        """Keep codes that are to be asked for.

        :param codes: any number of them
        :return: how many were not there yet
        """
        return self._insert(codes, _WAITING)

    def add_bad(self, code: str, shown: str, reason: str) -> int:
        """Keep a code that cannot be asked for.

        :param code: tells it from every other one
        :param shown: the code, as far as it can be shown
        :param reason: what is wrong with it
        :return: 1 if it was not there yet, else 0
        """
        return self._changes("INSERT OR IGNORE INTO bad VALUES (?, ?, ?)", [(code, shown, reason)])

    def bad(self) -> Iterator[tuple[str, str]]:
        """Iterate over the codes that cannot be asked for, each with its reason."""
        yield from self._db.execute("SELECT shown, reason FROM bad ORDER BY code")

    def mark_done(self, codes: Iterable[str]) -> tuple[int, int]:
        """Note what earlier tries have finished.

        :param codes: any number of them
        :return: how many were not noted before, and how many of these this try's source did not deliver
        """
        marked = new = 0
        for batch in batches(codes, BATCH):
            marked += self._finish(batch)
            new += self._insert(batch, _DONE)
        return marked + new, new

    def skip(self, codes: Iterable[str]) -> int:
        """Note what need not be asked for, as far as it was to be.

        :param codes: any number of them
        :return: how many were to be asked for
        """
        return sum(self._finish(batch) for batch in batches(codes, BATCH))

    def _finish(self, batch: list[str]) -> int:
        update = f"UPDATE account SET state = {_DONE} WHERE code = ? AND state = {_WAITING}"  # noqa: S608
        return self._changes(update, [(code,) for code in batch])

    def meet(self, codes: list[str]) -> tuple[set[str], int]:
        """Note the codes on a page of the directory.

        :param codes: a page of them
        :return: those that are new, and how many had been met before in this try
        """
        marks = f"(?, {_MET})," * len(codes)
        insert = "INSERT INTO account (code, state) VALUES " + marks[:-1]  # noqa: S608 - only marks
        insert += " ON CONFLICT DO NOTHING RETURNING code"
        new = {code for (code,) in self._db.execute(insert, codes)} if codes else set()
        known = [code for code in codes if code not in new]
        finished = [(code,) for code, state in self._states(known) if state == _DONE]
        if finished:
            self._changes(f"UPDATE account SET state = {_MET} WHERE code = ?", finished)  # noqa: S608
        return new, len(known) - len(finished)

    def unknown(self, codes: list[str]) -> list[str]:
        """Return the codes that are not kept.

        :param codes: at most :data:`BATCH` of them
        """
        known = dict(self._states(codes))
        return [code for code in codes if code not in known]

    def waiting(self) -> Iterator[str]:
        """Iterate over what is to be asked for, in the order it came."""
        last = 0
        query = f"SELECT id, code FROM account WHERE id > ? AND state = {_WAITING} ORDER BY id LIMIT ?"  # noqa: S608
        while rows := self._db.execute(query, (last, BATCH)).fetchall():
            last = rows[-1][0]
            for _, code in rows:
                yield code

    def add_answers(self, answers: Iterable[tuple[str, bytes]]) -> None:
        """Keep what the directory says of accounts.

        :param answers: account code and answer
        """
        self._changes("INSERT OR REPLACE INTO answer VALUES (?, ?)", answers)

    def answer(self, code: str) -> bytes | None:
        """Return what the directory says of an account, or ``None``."""
        row = self._db.execute("SELECT body FROM answer WHERE code = ?", (code,)).fetchone()
        return None if row is None else row[0]

    def _insert(self, codes: Iterable[str], state: int) -> int:
        rows = ((code, state) for code in codes)
        return self._changes("INSERT OR IGNORE INTO account (code, state) VALUES (?, ?)", rows)

    def _states(self, codes: list[str]) -> list[tuple[str, int]]:
        if not codes:
            return []
        marks = ",".join("?" * len(codes))
        query = f"SELECT code, state FROM account WHERE code IN ({marks})"  # noqa: S608 - only marks
        return self._db.execute(query, codes).fetchall()

    def _changes(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        before = self._db.total_changes
        self._db.executemany(statement, rows)
        return self._db.total_changes - before


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut any number of items into lists.

    :param items: the items
    :param size: of each list but the last
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
