"""Renew the pictures in the documentation, taken of a real Airflow: ``make screenshots``."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from random import Random

from playwright.sync_api import Locator, ViewportSize

from airflow_provider_cc.simulator import Simulator
from scripts.airflow_home import CHECKOUT, AirflowHome
from scripts.postgres import postgres
from scripts.showcase import contact_center
from scripts.web_interface import WebInterface, chromium

SCRATCH = CHECKOUT / ".cache" / "screenshots"
IMAGES = CHECKOUT / "docs" / "images"
DAG = "cc_agents_from_directory"
FORM: ViewportSize = {"width": 1280, "height": 1000}
LOG: ViewportSize = {"width": 1280, "height": 560}
PAGE: ViewportSize = {"width": 1280, "height": 800}
# Runs on the page, with something new in the contact center before each.
RUNS = 12
# Of no center: what a reader is to put there.
FIELDS = {
    "Connection ID": "cc_management_default",
    "Description": "Contact center of the north",
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
    with (
        contact_center(SCRATCH / "certificates") as center,
        postgres(SCRATCH / "postgres") as warehouse,  # DuckDB's hook would log where its file is
        chromium() as browser,
    ):
        airflow = AirflowHome(
            SCRATCH / "airflow",
            {
                **center.environment(),
                "AIRFLOW_CONN_WAREHOUSE": warehouse,
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
                _sync_page(web, airflow, center)
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


def _sync_page(web: WebInterface, airflow: AirflowHome, center: Simulator) -> None:
    numbers = Random(7)  # noqa: S311 - the picture is to be the same each time
    for run in range(RUNS):
        accounts = numbers.sample([*center.accounts()], 40)
        for account in accounts[: numbers.randrange(4, 20)]:
            center.change_agent(account, softphone_number=f"7296{numbers.randrange(10_000):04}")
        for account in accounts[36 : 36 + numbers.randrange(4)]:
            center.remove_agent(account)
        for number in range(numbers.randrange(6)):
            center.add_agent(f"new{run:02}{number}")
        unreadable = accounts[30 : 30 + numbers.randrange(1, 4)]
        for account in unreadable:
            center.change_agent(account, agent_type="?")
        airflow.trigger(DAG, f"run{run}")
        airflow.wait_for(DAG, f"run{run}", seconds=240)
        for account in unreadable:
            center.change_agent(account, agent_type=4)
    web.page.set_viewport_size(PAGE)
    web.page.goto(web.url)
    web.contact_center_sync().get_by_role("link", name=DAG).click()
    _keep(web.page.locator("body"), "sync-page.png")


def _keep(shown: Locator, name: str) -> None:
    shown.page.wait_for_timeout(1000)  # until whatever moves has come to rest
    shown.screenshot(path=IMAGES / name, animations="disabled")
    print(f"docs/images/{name}")


if __name__ == "__main__":
    sys.exit(main())
