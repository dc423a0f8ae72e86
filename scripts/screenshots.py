"""Renew the pictures in the documentation, taken of a real Airflow: ``make screenshots``."""

from __future__ import annotations

import json
import shutil
import signal
import sys

from playwright.sync_api import Locator, ViewportSize

from scripts.airflow_home import CHECKOUT, AirflowHome
from scripts.showcase import contact_centre
from scripts.web_interface import WebInterface, chromium

SCRATCH = CHECKOUT / ".cache" / "screenshots"
IMAGES = CHECKOUT / "docs" / "images"
DAG = "cc_agents_from_directory"
FORM: ViewportSize = {"width": 1280, "height": 1000}
LOG: ViewportSize = {"width": 1280, "height": 480}
# Of no centre: what a reader is to put there.
FIELDS = {
    "Connection ID": "cc_management_default",
    "Description": "Contact centre of the north",
    "Domain": "cc.example.com",
    "App key": "my-app-key",
    "App secret": "my-app-secret",
    "Port (usually 443)": 443,
    "Scheme": "https",
}


def main() -> int:
    """Take them; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    passwords = SCRATCH / "passwords.json"
    passwords.write_text(json.dumps({"admin": "admin"}))
    with contact_centre(SCRATCH / "certificates") as centre, chromium() as browser:
        warehouse = {"conn_type": "duckdb", "host": str(SCRATCH / "warehouse.duckdb")}
        airflow = AirflowHome(
            SCRATCH / "airflow",
            {
                **centre.environment(),
                "AIRFLOW_CONN_WAREHOUSE": json.dumps(warehouse),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            },
        )
        airflow.migrate()
        with airflow.standalone():
            airflow.wait_for_web()
            url = f"http://127.0.0.1:{airflow.port}"
            with WebInterface(browser, url, "admin", "admin") as web:
                _connection_form(web)
                _sync_log(web)
    return 0


def _connection_form(web: WebInterface) -> None:
    web.page.set_viewport_size(FORM)
    form = web.new_connection("CC-Management")
    form.fill_in(FIELDS, {})
    _keep(form.dialog, "connection-form.png")


def _sync_log(web: WebInterface) -> None:
    run_id = web.switch_on(DAG)
    web.watch(DAG, run_id)
    web.log(DAG, run_id, "sync_agents")
    web.page.set_viewport_size(LOG)
    web.page.keyboard.press("w")  # wraps the lines
    _keep(web.page.locator("body"), "sync-log.png")


def _keep(shown: Locator, name: str) -> None:
    shown.page.wait_for_timeout(1000)  # until whatever moves has come to rest
    shown.screenshot(path=IMAGES / name, animations="disabled")
    print(f"docs/images/{name}")


if __name__ == "__main__":
    sys.exit(main())
