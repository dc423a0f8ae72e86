"""The page *Contact center sync* as users see it in Airflow's web interface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.ui.conftest import Server, metadata, server  # noqa: F401 - fixtures
from tests.ui.metadata import TaskRun, clear, insert, result, target

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator

    from scripts.web_interface import WebInterface

MALICE = "<img src=x onerror=alert(1)>"
RUNS = 40


@pytest.fixture(scope="module", autouse=True)
def _runs(_metadata_database: object) -> None:
    clear()
    insert(
        TaskRun(
            f"{tenant}_hourly",
            hours,
            state="failed" if hours == RUNS - 3 else "success",
            attempts=3 if hours == RUNS - 3 else 1,
            told=target(tenant, table=f"cc_{MALICE}"),
            returned=result(
                active=900 + hours,
                added=hours or 9000,
                throttled_seconds=75,
                reject_reasons={
                    "queryAgentInfoByAccount: no_agent": 8,
                    f"queryAgentInfoByAccount: {MALICE}": 2,
                },
            ),
        )
        for tenant in ("north", "south")
        for hours in range(RUNS)
    )


@pytest.fixture(scope="module", params=["admin", "north"])
def user(request: pytest.FixtureRequest) -> str:
    """Give a user of all DAGs, and one of the DAGs of the north."""
    return str(request.param)


@pytest.fixture(scope="module")
def ui(user: str, server: Server, browser: Browser) -> Iterator[WebInterface]:  # noqa: F811
    """Open Airflow's web interface, signed in, below a path as behind a proxy."""
    from scripts.web_interface import WebInterface

    with WebInterface(browser, server.url, user, user) as interface:
        interface.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        yield interface


def opened(ui: WebInterface) -> FrameLocator:
    """Open the page by its entry in the menu."""
    ui.page.set_viewport_size({"width": 1280, "height": 800})
    ui.page.goto(ui.url)
    return ui.contact_center_sync()


def test_each_user_sees_the_tables_of_the_dags_that_they_may_read(ui: WebInterface, user: str) -> None:
    from playwright.sync_api import expect

    rows = opened(ui).get_by_role("table", name="Tables and tenants").locator("tbody tr")

    expect(rows).to_have_count({"admin": 2, "north": 1}[user])
    expect(rows.first).to_contain_text("north_hourly.sync")
    expect(rows.first).to_contain_text("days ago")
    expect(rows.first).to_contain_text("939")
    expect(rows.first.get_by_role("img")).to_have_accessible_name(
        "30 runs, 1 failed; active agents from 910 to 939"
    )


def test_what_tables_and_reasons_are_called_stays_text(ui: WebInterface) -> None:
    from playwright.sync_api import expect

    frame = opened(ui)
    expect(frame.get_by_text(f"cc_{MALICE}").first).to_be_visible()
    frame.get_by_role("link", name="north_hourly.sync").click()

    reasons = frame.get_by_role("table", name="Reasons of rejects").locator("tbody tr")
    expect(reasons).to_have_count(2)
    expect(reasons.first).to_contain_text("If intended, no action is needed")
    expect(reasons.last).to_contain_text(MALICE)
    expect(frame.locator("img:not([role])")).to_have_count(0)


def test_the_keyboard_leads_from_a_table_to_the_log_of_a_run(ui: WebInterface) -> None:
    from playwright.sync_api import expect

    frame = opened(ui)
    frame.get_by_role("button", name="Refresh").focus()
    ui.page.keyboard.press("Tab")
    expect(frame.get_by_role("link", name="north_hourly.sync")).to_be_focused()
    ui.page.keyboard.press("Enter")
    runs = frame.get_by_role("table", name="Runs").locator("tbody tr")
    expect(runs).to_have_count(RUNS)
    expect(runs.nth(2)).to_contain_text(re.compile("failed.*3.*1 min"))
    expect(runs.first).to_contain_text("1 min")  # of being throttled
    chart = frame.get_by_role("img", name=f"Changes in the last {RUNS} runs")
    expect(chart.locator(".fill-added")).to_have_count(RUNS - 1)
    expect(chart.locator(".fill-failed")).to_have_count(1)
    expect(chart.locator(".fill-cut")).to_have_count(2)  # two lines across the first bar
    runs.first.get_by_role("link", name="log").focus()
    ui.page.keyboard.press("Enter")

    ui.page.wait_for_url(re.compile(r"/behind/a/proxy/dags/north_hourly/runs/scheduled__.*/tasks/sync"))


def test_the_page_is_as_dark_as_airflow(ui: WebInterface) -> None:
    from playwright.sync_api import expect

    body = opened(ui).locator("body")
    for theme, color in (("dark", "rgb(17, 17, 19)"), ("light", "rgb(255, 255, 255)")):
        ui.page.evaluate("theme => { document.documentElement.className = theme }", theme)
        expect(body).to_have_css("background-color", color)


def test_a_phone_shows_all_of_it_without_scrolling_sideways(ui: WebInterface) -> None:
    from playwright.sync_api import expect

    ui.page.set_viewport_size({"width": 360, "height": 740})
    for query in ("", "?dag_id=north_hourly&task_id=sync"):
        ui.page.goto(f"{ui.url}/contact_center_sync/{query}")
        expect(ui.page.get_by_text("939").first).to_be_visible()
        assert ui.page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_dag_that_may_not_be_read_shows_nothing(ui: WebInterface, user: str) -> None:
    from playwright.sync_api import expect

    ui.page.goto(f"{ui.url}/contact_center_sync/?dag_id=south_hourly&task_id=sync&map_index=-1")

    refused = "There is no such sync, or you do not have access to its DAG."
    shown = "The last 40 runs" if user == "admin" else refused
    expect(ui.page.get_by_text(shown)).to_be_visible()
