"""One Airflow, set up as the quick start says, and one browser for all tests here."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.quick_start import NewUser
from tests.packaging.test_wheel import wheel  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from scripts.web_interface import WebInterface


# The environment of the newest Airflow has it, whose web interface this is about.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: the first test waits until Airflow is installed and started."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what Airflow's services said when a test fails."""
    report = yield
    user = getattr(item, "funcargs", {}).get("new_user")
    if report.failed and user is not None:
        report.sections.append(("airflow standalone", user.log_end()))
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from scripts.web_interface import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def new_user(browser: Browser, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewUser]:  # noqa: F811
    """Give what somebody has who followed the quick start to where the browser is opened.

    The browser is asked for first: where there is none, nothing needs to be installed.
    """
    with NewUser(tmp_path_factory.mktemp("first-hour"), wheel) as user:
        yield user


@pytest.fixture(scope="session")
def web(new_user: NewUser, browser: Browser) -> Iterator[WebInterface]:
    """Open Airflow's web interface, signed in."""
    from scripts.web_interface import WebInterface

    with WebInterface(browser, new_user.url, "admin", new_user.password()) as interface:
        yield interface
