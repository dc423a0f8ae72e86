"""What the demo and the web interface show: a contact center, its accounts, the tables synced from it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import sqlalchemy
from rich import box
from rich.console import Console
from rich.table import Table

from airflow_provider_cc.simulator import Settings, Simulator
from scripts.airflow_home import CHECKOUT, AirflowFailed, Run

DAGS = ("cc_agents_from_accounts", "cc_agents_from_directory")
# Accounts that the center does not know, so that there is something to reject.
LEFT_THE_COMPANY = ("leaver.one", "leaver.two", "leaver.three", "typo@", "4711")
AGENT_TYPES = {4: "audio", 5: "multimedia", 11: "video", 99: "versatile", 255: "idle"}


def contact_center(directory: Path) -> Simulator:
    """Return a contact center of 1,000 agents, on a free port, over TLS; to be used in a ``with`` block.

    :param directory: where its certificates are kept
    """
    return Simulator(Settings(agents=1000, seed=7, tls=True, cert_dir=directory))


@contextlib.contextmanager
def step(console: Console, what: str) -> Iterator[None]:
    """Show what is being done, and, once it is, how long it took."""
    started = time.monotonic()
    with console.status(f"{what} …"):
        yield
    console.print(f"[green]✓[/] {what} [dim]({time.monotonic() - started:.1f} s)[/]")


def fill_accounts(warehouse: str, center: Simulator) -> None:
    """Put the account codes to ask for into the table ``cc_account``.

    :param warehouse: SQLAlchemy URL of the database
    :param center: whose accounts
    """
    accounts = [{"account": account} for account in (*center.accounts(), *LEFT_THE_COMPANY)]
    with _connection(warehouse) as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE cc_account (account VARCHAR(64) PRIMARY KEY)"))
        connection.execute(sqlalchemy.text("INSERT INTO cc_account VALUES (:account)"), accounts)


def must_succeed(dag_id: str, run: Run, log: Path) -> None:
    """Raise where a run did not."""
    if run.state != "success":
        raise AirflowFailed(f"{dag_id} failed, see {shown(log)}\n" + "\n".join(run.log.splitlines()[-30:]))


def show_tables(console: Console, warehouse: str) -> None:
    """Show what the runs have written.

    :param console: where
    :param warehouse: SQLAlchemy URL of the database
    """
    with _connection(warehouse) as connection:
        for table in (
            _table(
                connection,
                "cc_agent, the first rows",
                "SELECT account, agent_id, agent_type, agent_status, softphone_number, is_active"
                " FROM cc_agent ORDER BY account LIMIT 5",
            ),
            _agents_per_type(connection),
            _table(
                connection,
                "cc_agent_reject, accounts that could not be read",
                "SELECT account, endpoint, code, message FROM cc_agent_reject ORDER BY account",
            ),
            _ledger(connection),
        ):
            console.print()
            console.print(table)
        console.print()


def shown(path: Path) -> str:
    """Return a path as it is typed in the checkout."""
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)


@contextlib.contextmanager
def _connection(warehouse: str) -> Iterator[sqlalchemy.engine.Connection]:
    # Nothing stays open: DuckDB admits one process at a time.
    engine = sqlalchemy.create_engine(warehouse, poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _agents_per_type(connection: sqlalchemy.engine.Connection) -> Table:
    table = _empty_table("cc_agent, agents per type", "agent_type", "meaning", "agents")
    for agent_type, agents in connection.execute(
        sqlalchemy.text("SELECT agent_type, count(*) FROM cc_agent GROUP BY agent_type ORDER BY agent_type")
    ):
        table.add_row(str(agent_type), AGENT_TYPES.get(agent_type, "unknown"), str(agents))
    return table


def _table(connection: sqlalchemy.engine.Connection, title: str, sql: str) -> Table:
    result = connection.execute(sqlalchemy.text(sql))
    table = _empty_table(title, *result.keys())
    for row in result:
        table.add_row(*map(_cell, row))
    return table


def _empty_table(title: str, *columns: str) -> Table:
    # As little frame as can be: the widest table just fits a terminal of 80 columns.
    return Table(
        *columns,
        title=f"[bold]{title}",
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _ledger(connection: sqlalchemy.engine.Connection) -> Table:
    """One column per run: the ledger's rows are too wide for a terminal."""
    result = connection.execute(sqlalchemy.text("SELECT * FROM cc_sync_run ORDER BY started_at"))
    names = list(result.keys())
    runs = [dict(zip(names, row, strict=True)) for row in result]
    table = _empty_table("cc_sync_run, the ledger", "dag_id", *(run["dag_id"] for run in runs))
    for name in names:
        if name != "dag_id":
            table.add_row(name, *(_cell(run[name]) for run in runs))
    return table


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "–" if value is None else str(value)
