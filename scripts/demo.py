"""Sync 1,000 simulated agents into a DuckDB file with Airflow, and show the tables: ``make demo``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from rich.console import Console

from scripts.airflow_home import CHECKOUT, AirflowFailed, AirflowHome
from scripts.showcase import DAGS, contact_centre, fill_accounts, must_succeed, show_tables, shown, step

DEMO = CHECKOUT / ".cache" / "demo"
WAREHOUSE = DEMO / "warehouse.duckdb"


def main() -> int:
    """Run the demo; return the exit code."""
    console = Console(highlight=False)
    shutil.rmtree(DEMO, ignore_errors=True)
    try:
        sync(console)
    except AirflowFailed as failure:
        console.print(f"✗ {failure}", style="red", markup=False)
        return 1
    show_tables(console, f"duckdb:///{WAREHOUSE}")
    python = shown(Path(sys.prefix) / "bin" / "python")
    console.print(f"The tables are in [bold]{shown(WAREHOUSE)}[/]. Next:")
    console.print("• see it in Airflow's web interface:\n    make ui")
    console.print(
        f"• ask the tables something:\n    {python} -c"
        f' \'import duckdb; duckdb.connect("{shown(WAREHOUSE)}").sql("FROM cc_agent").show()\'',
        soft_wrap=True,  # so that it can be copied
    )
    console.print("• read what ran:\n    " + "\n    ".join(f"dags/{dag_id}.py" for dag_id in DAGS))
    return 0


def sync(console: Console) -> None:
    """Let Airflow run the two sync DAGs against a simulated contact center."""
    with contact_centre(DEMO / "certificates") as centre:
        airflow = AirflowHome(
            DEMO / "airflow",
            {
                **centre.environment(),
                "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(WAREHOUSE)}),
            },
        )
        console.print(f"A contact center of {centre.settings.agents:,} agents listens on {centre.url}.")
        fill_accounts(f"duckdb:///{WAREHOUSE}", centre)
        with step(console, "Airflow makes its metadata database"):
            airflow.migrate()
        for dag_id in DAGS:
            with step(console, f"Airflow runs {dag_id}"):
                must_succeed(dag_id, airflow.run_dag(dag_id), airflow.log)


if __name__ == "__main__":
    sys.exit(main())
