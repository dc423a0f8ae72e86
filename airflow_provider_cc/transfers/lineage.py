"""Lineage of a run for OpenLineage: which tables it read and wrote, and which interfaces it called.

It contains only names, columns and numbers: no query, no account and no credential.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from airflow_provider_cc.compat import BaseHook
from airflow_provider_cc.sync.counts import Counts
from airflow_provider_cc.sync.database import Database, database_of
from airflow_provider_cc.sync.schema import Tables


@dataclass(frozen=True)
class Place:
    """How OpenLineage names the tables of a database.

    :param namespace: name of the database server, or of its file
    :param database: first part of each table's name, if any
    :param schema: schema of tables that are named without one
    :param dialect: OpenLineage's name of the SQL dialect
    :param upper_case: whether the database writes all names in capitals
    """

    namespace: str
    database: str | None
    schema: str | None
    dialect: str
    upper_case: bool = False

    def name(self, table: str, schema: str | None, database: str | None = None) -> str:
        """Return the full name of a table.

        :param table: its unqualified name
        :param schema: its schema, if given
        :param database: its database, if given
        """
        parts = (database or self.database, schema or self.schema, table)
        name = ".".join(part for part in parts if part)
        return name.upper() if self.upper_case else name


def lineage(
    sql_conn_id: str,
    written: Sequence[tuple[sa.Table, int]],
    accounts_sql: str | None,
    asked: Sequence[tuple[str, str]],
) -> Any:
    """Return what a run read and wrote, as OpenLineage's ``OperatorLineage``.

    :param sql_conn_id: connection to the database
    :param written: the tables, each with its number of rows, from :func:`rows_written`
    :param accounts_sql: the query for the accounts, if any
    :param asked: addresses of contact centers, each with the path of an interface
    """
    from airflow.providers.common.compat.openlineage.facet import InputDataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    database = database_of(sql_conn_id)
    place = _place(database, BaseHook.get_connection(sql_conn_id))
    inputs = [*asked, *((place.namespace, name) for name in _tables_read(accounts_sql, place))]
    return OperatorLineage(
        inputs=[InputDataset(namespace, name) for namespace, name in inputs],
        outputs=[_output(table, rows, place, database.dialect.sql()) for table, rows in written],
    )


def rows_written(tables: Tables, counts: Counts) -> list[tuple[sa.Table, int]]:
    """Return the tables of a run, each with the number of its new or changed rows.

    A row that only got a new ``synced_at`` does not count.

    :param tables: the tables
    :param counts: counts of the run
    """
    versions = counts.added + counts.changed + counts.reactivated
    written = [(tables.agent, versions + counts.deactivated)]
    if tables.history is not None:
        written.append((tables.history, versions))
    return [*written, (tables.reject, counts.rejected), (tables.run, 1)]


def _place(database: Database, connection: Any) -> Place:
    """Get the names from the database's hook, as Airflow's own SQL operators do; some hooks have none."""
    from airflow.providers.openlineage.sqlparser import SQLParser

    hook = database.dialect.hook
    info = getattr(hook, "get_openlineage_database_info", lambda _: None)(connection)
    if info is not None:
        return Place(
            SQLParser.create_namespace(info),
            info.database,
            hook.get_openlineage_default_schema() or database.dialect.schema,
            hook.get_openlineage_database_dialect(connection),
            info.is_uppercase_names,
        )
    url, kind = sa.engine.make_url(hook.get_uri()), database.dialect.name
    if not url.host:  # a file; after the question mark, there may be a token
        file = (url.database or "").partition("?")[0]
        return Place(f"{kind}://{file}", None, database.dialect.schema, "generic")
    authority = f"{url.host}:{url.port}" if url.port else url.host
    return Place(f"{kind}://{authority}", url.database, None, "generic")


def _tables_read(sql: str | None, place: Place) -> list[str]:
    if not sql:
        return []
    from airflow.providers.openlineage.sqlparser import SQLParser

    found = SQLParser(place.dialect, place.schema).parse(SQLParser.split_sql_string(sql))
    tables = found.in_tables if found is not None else []
    return sorted({place.name(table.name, table.schema, table.database) for table in tables})


def _output(table: sa.Table, rows: int, place: Place, dialect: sa.engine.Dialect) -> Any:
    from airflow.providers.common.compat.openlineage.facet import (
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    columns = [
        SchemaDatasetFacetFields(name=column.name, type=column.type.compile(dialect=dialect))
        for column in table.columns
    ]
    return OutputDataset(
        place.namespace,
        place.name(table.name, table.schema),
        facets={"schema": SchemaDatasetFacet(fields=columns)},
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows)},
    )
