"""Accounts' passwords at rest: what the contact centre refused is remembered beside the ledger."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from airflow_provider_cc.api.management import LOGIN_PARAMS, declines_password
from airflow_provider_cc.exceptions import CCBusinessError
from airflow_provider_cc.hooks.quarantine import AT_REST, REST, fingerprint, rests, sentence
from airflow_provider_cc.transfers.tables import UtcTime, check, database_now
from airflow_provider_cc.transfers.warehouse import transaction

#: The table's name; it lies in the ledger's schema.
TABLE = "cc_refused_password"


class _Mark(NamedTuple):
    fingerprint: str
    code: str
    refused_at: datetime


class RefusedPasswords:
    """Keeps a refused password of an account from being sent again for a day, by any run.

    A keyed fingerprint is kept, never the password, and the key is not in this database.

    :param engine: of the database
    :param schema: the ledger's
    :param tenant: part of the key of a row
    :param address: of the contact centre
    :param key: of the fingerprints
    :param writes: whether refusals are remembered, and not only heeded
    """

    def __init__(
        self,
        engine: sa.engine.Engine,
        schema: str | None,
        tenant: str,
        address: str,
        key: str,
        writes: bool,
    ) -> None:
        self._engine = engine
        self._tenant = tenant
        self._address = address
        self._key = key
        self._writes = writes
        self._marks: dict[str, _Mark] = {}
        self._unwritten: deque[dict[str, str]] = deque()
        self._table = table(schema)

    def read(self) -> None:
        """Read which passwords are at rest; the table is made where there is none yet."""
        marks = self._table

        def work(connection: sa.engine.Connection) -> dict[str, _Mark]:
            if self._writes:
                connection.execute(sa.schema.CreateTable(marks, if_not_exists=True))
            elif not sa.inspect(connection).has_table(marks.name, schema=marks.schema):
                return {}
            check(connection, [marks])
            now = database_now(connection)
            query = sa.select(marks.c.account, marks.c.fingerprint, marks.c.code, marks.c.refused_at)
            found = connection.execute(query.where(marks.c.tenant == self._tenant))
            return {account: _Mark(*mark) for account, *mark in found if rests(mark[-1], now)}

        self._marks = transaction(self._engine, work)

    def check(self, account: str, password: str) -> None:
        """Insist that an account's password is not at rest.

        :param account: sign-in account
        :param password: its password
        :raises CCBusinessError: it is
        """
        mark = self._marks.get(account)
        if mark is not None and mark.fingerprint == self._fingerprint(account, password):
            lift = f"DELETE the account's row from {TABLE}"
            raise CCBusinessError(LOGIN_PARAMS.name, AT_REST, sentence(mark.code, mark.refused_at, lift))

    def note(self, account: str, password: str, error: CCBusinessError) -> None:
        """Take note of a query that was declined, if the password may be why.

        :param account: sign-in account
        :param password: its password
        :param error: how it was declined
        """
        if self._writes and declines_password(error):
            mark = {"fingerprint": self._fingerprint(account, password), "code": error.code[:100]}
            self._unwritten.append({"tenant": self._tenant, "account": account, **mark})

    def write(self) -> None:
        """Write what was noted since the last time."""
        noted = list(self._unwritten)
        if not noted:
            return
        marks = self._table

        def work(connection: sa.engine.Connection) -> None:
            # A write before the read: on SQLite, only one run at a time is then at work here.
            is_one: Any = sa.and_(marks.c.tenant == self._tenant, marks.c.account == sa.bindparam("_account"))
            connection.execute(
                sa.delete(marks).where(is_one), [{"_account": row["account"]} for row in noted]
            )
            now = database_now(connection)
            connection.execute(
                sa.delete(marks).where(marks.c.tenant == self._tenant, marks.c.refused_at < now - REST)
            )
            connection.execute(marks.insert().values(refused_at=now), noted)

        transaction(self._engine, work)
        for _ in noted:
            self._unwritten.popleft()

    def _fingerprint(self, account: str, password: str) -> str:
        return fingerprint(self._key, self._address, account, password)


def table(schema: str | None) -> sa.Table:
    """Define the table.

    :param schema: where it lies
    """
    return sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("tenant", sa.String(250), primary_key=True),
        sa.Column("account", sa.String(100), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("code", sa.String(100), nullable=False),
        sa.Column("refused_at", UtcTime(), nullable=False),
        schema=schema,
    )
