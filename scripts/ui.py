"""The demo in Airflow's web interface, with PostgreSQL as the warehouse, until Ctrl-C: ``make ui``."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator

from rich.console import Console

from scripts.airflow_home import CHECKOUT, AirflowFailed, AirflowHome
from scripts.postgres import postgres
from scripts.showcase import DAGS, contact_center, fill_accounts, must_succeed, show_tables, step

UI = CHECKOUT / ".cache" / "ui"


def main() -> int:
    """Serve until interrupted; return the exit code."""
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shutil.rmtree(UI, ignore_errors=True)
    try:
        serve(console)
    except KeyboardInterrupt:
        console.print("Ended.")
        return 0
    except AirflowFailed as failure:
        console.print(f"✗ {failure}", style="red", markup=False)
    return 1


def serve(console: Console) -> None:
    """Let Airflow run the two sync DAGs, show the tables, and go on serving."""
    with contextlib.ExitStack() as stack:
        with step(console, "PostgreSQL starts"):
            connection = stack.enter_context(postgres(UI / "postgres"))
        center = stack.enter_context(contact_center(UI / "certificates"))
        warehouse = sqlalchemy_url(connection)
        fill_accounts(warehouse, center)

        password = secrets.token_urlsafe(9)
        passwords = UI / "passwords.json"
        passwords.write_text(json.dumps({"admin": password}))
        airflow = AirflowHome(
            UI / "airflow",
            {
                **center.environment(),
                "AIRFLOW_CONN_WAREHOUSE": connection,
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            },
        )
        with step(console, "Airflow makes its metadata database"):
            airflow.migrate()
        with step(console, "Airflow starts"):
            stack.enter_context(airflow.standalone())
            stack.enter_context(_uninterrupted_end(console))
            airflow.wait_for_web()
        for dag_id in DAGS:
            with step(console, f"Airflow runs {dag_id}"):
                airflow.unpause(dag_id)
                must_succeed(dag_id, airflow.wait_for(dag_id), airflow.log)
        show_tables(console, warehouse)
        console.print(
            f"Airflow is at [bold]http://127.0.0.1:{airflow.port}/plugin/contact_center_sync[/], "
            f"user [bold]admin[/], password [bold]{password}[/]\n"
            f"The warehouse is at [bold]{warehouse.replace('+psycopg2', '')}[/]\n"
            f"The contact center is at [bold]{center.url}[/]\n"
            "Ctrl-C ends all three."
        )
        airflow.wait_for_end()


def sqlalchemy_url(connection: str) -> str:
    """Return the SQLAlchemy URL of an Airflow connection to PostgreSQL."""
    parts = json.loads(connection)
    return f"postgresql+psycopg2://{parts['login']}@{parts['host']}:{parts['port']}/{parts['schema']}"


@contextlib.contextmanager
def _uninterrupted_end(console: Console) -> Iterator[None]:
    """Let nobody interrupt the shutting down, which would leave servers behind."""
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        console.print("Ending …")


if __name__ == "__main__":
    sys.exit(main())
