"""Sync 1,000 simulated agents into a database with Airflow, and show the tables: ``make demo``.

The database is a DuckDB file, or with ``WAREHOUSE=mariadb`` a MariaDB server of the demo's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from scripts.airflow_home import CHECKOUT, AirflowFailed, AirflowHome
from scripts.mariadb import mariadb, sqlalchemy_url
from scripts.showcase import DAGS, contact_center, fill_accounts, must_succeed, show_tables, shown, step

DEMO = CHECKOUT / ".cache" / "demo"
WAREHOUSE = DEMO / "warehouse.duckdb"


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("warehouse", choices=("duckdb", "mariadb"), help="kind of database")
    kind = parser.parse_args().warehouse
    console = Console(highlight=False)
    shutil.rmtree(DEMO, ignore_errors=True)
    try:
        with _warehouse(kind) as (connection, url):
            sync(console, connection, url)
            show_tables(console, url)
    except (AirflowFailed, RuntimeError) as failure:
        console.print(f"✗ {failure}", style="red", markup=False)
        return 1
    if kind == "duckdb":
        python = shown(Path(sys.prefix) / "bin" / "python")
        console.print(f"The tables are in [bold]{shown(WAREHOUSE)}[/]. Next:")
        console.print(
            f"• ask the tables something:\n    {python} -c"
            f' \'import duckdb; duckdb.connect("{shown(WAREHOUSE)}").sql("FROM cc_agent").show()\'',
            soft_wrap=True,  # so that it can be copied
        )
    else:
        console.print("The server and its tables are removed. Next:")
    console.print("• see it in Airflow's web interface:\n    make ui")
    console.print("• read what ran:\n    " + "\n    ".join(f"dags/{dag_id}.py" for dag_id in DAGS))
    return 0


@contextlib.contextmanager
def _warehouse(kind: str) -> Iterator[tuple[str, str]]:
    """Give a database: the Airflow connection to it, as JSON, and its SQLAlchemy URL."""
    if kind == "duckdb":
        yield json.dumps({"conn_type": "duckdb", "host": str(WAREHOUSE)}), f"duckdb:///{WAREHOUSE}"
        return
    with mariadb(DEMO / "mariadb") as connection:
        yield connection, sqlalchemy_url(json.loads(connection))


def sync(console: Console, connection: str, url: str) -> None:
    """Let Airflow run the two sync DAGs against a simulated contact center.

    :param console: where to show what is done
    :param connection: the Airflow connection to the database, as JSON
    :param url: its SQLAlchemy URL
    """
    with contact_center(DEMO / "certificates") as center:
        airflow = AirflowHome(
            DEMO / "airflow", {**center.environment(), "AIRFLOW_CONN_WAREHOUSE": connection}
        )
        console.print(f"A contact center of {center.settings.agents:,} agents listens on {center.url}.")
        fill_accounts(url, center)
        with step(console, "Airflow makes its metadata database"):
            airflow.migrate()
        for dag_id in DAGS:
            with step(console, f"Airflow runs {dag_id}"):
                must_succeed(dag_id, airflow.run_dag(dag_id), airflow.log)


if __name__ == "__main__":
    sys.exit(main())
