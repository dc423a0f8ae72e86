"""Airflow's web interface, worked as a user works it: by a real Chromium, by what stands on the screen."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping

from playwright.sync_api import Browser, FrameLocator, Locator, Page, ViewportSize, expect, sync_playwright

# A busy machine takes its time; whatever is waited for is there within seconds otherwise.
_PATIENCE_MS = 90_000
_RUN_SECONDS = 240
_SIZE: ViewportSize = {"width": 1280, "height": 800}
_OPTIONS = [
    "--no-sandbox",  # it is not to be had for root, and only the Airflow next door is visited
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class ChromiumMissing(Exception):
    """There is no Chromium on this machine; the message says how to get one."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the machine's own Chromium, without a window, until the end of the ``with`` block.

    :raises ChromiumMissing: it is not installed
    """
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        raise ChromiumMissing("no Chromium here: install the package chromium (apt-get install chromium)")
    with (
        tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as home,
        sync_playwright() as playwright,
    ):
        # Whatever profile it is given, it leaves crash reports and settings in the user's home.
        own = {name: home for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
        environment: dict[str, str | float | bool] = {**os.environ, **own}
        browser = playwright.chromium.launch(executable_path=executable, args=_OPTIONS, env=environment)
        try:
            yield browser
        finally:
            browser.close()


class WebInterface:
    """Airflow's web interface in a tab of its own, signed in; for use in a ``with`` block.

    :param browser: the browser
    :param url: where the web interface is
    :param user: who signs in
    :param password: that user's password
    """

    def __init__(self, browser: Browser, url: str, user: str, password: str) -> None:
        self.url = url
        self._context = browser.new_context(viewport=_SIZE, reduced_motion="reduce")
        self._context.set_default_timeout(_PATIENCE_MS)
        self.page: Page = self._context.new_page()
        expect.set_options(timeout=_PATIENCE_MS)
        self._sign_in(user, password)

    def __enter__(self) -> WebInterface:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _sign_in(self, user: str, password: str) -> None:
        self.page.goto(self.url)
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_role("textbox", name="Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(re.compile("^(?!.*/login)"))

    # Connections

    def new_connection(self, hook_name: str) -> ConnectionForm:
        """Open the form for a new connection.

        :param hook_name: connection type, as the form calls it
        """
        self._connections()
        self.page.get_by_role("button", name="Add Connection").click()
        form = ConnectionForm(self.page.get_by_role("dialog"))
        form.fill("Connection Type", hook_name)
        return form

    def edit_connection(self, conn_id: str) -> ConnectionForm:
        """Open the form of a connection that is there."""
        self._connections()
        self._row(conn_id).get_by_role("button", name="Edit Connection").click()
        return ConnectionForm(self.page.get_by_role("dialog"))

    def test_connection(self, conn_id: str) -> str:
        """Press a connection's *Test*; return what is said then, heading and text."""
        self._connections()
        said = self.page.locator("[data-scope=toast][data-part=root]")
        self._row(conn_id).get_by_role("button", name="Test Connection").click()
        expect(said.last).to_be_visible()
        return said.last.inner_text()

    def _connections(self) -> None:
        self.page.goto(f"{self.url}/connections")

    def _row(self, text: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_text(text, exact=True))

    # Runs

    def switch_on(self, dag_id: str) -> str:
        """Switch on a DAG that has a schedule; return the ID of the run that Airflow starts at once.

        *Trigger* would do both in one click, but with two concurrent requests. With SQLite, they can deadlock
        in the API server of Airflow 3.3: one holds the database's lock and waits for the event loop, in which
        the other waits for the lock. When the switch is the one that fails, the run stays queued.

        :param dag_id: the DAG
        """
        deadline = time.monotonic() + _RUN_SECONDS
        header = self.page.get_by_test_id("header-card")
        switch = header.get_by_test_id("toggle-pause")
        self.page.goto(f"{self.url}/dags/{dag_id}", wait_until="networkidle")
        while not switch.count():  # the DAG is not parsed yet
            if time.monotonic() > deadline:
                raise TimeoutError(f"the web interface shows no DAG {dag_id} within {_RUN_SECONDS} s")
            self.page.reload(wait_until="networkidle")
        with self.page.expect_response(lambda reply: reply.request.method == "PATCH") as reply:
            switch.click()
        if not reply.value.ok:
            raise RuntimeError(f"{dag_id} cannot be switched on: HTTP {reply.value.status}")
        run = header.locator("a[href*='/runs/']")
        expect(run).to_be_visible(timeout=_RUN_SECONDS * 1000)
        return str(run.get_attribute("href")).rsplit("/", 1)[1]

    def watch(self, dag_id: str, run_id: str) -> str:
        """Watch a run until it has ended; return what the page calls its state then.

        :param dag_id: the DAG
        :param run_id: the run
        """
        self.page.goto(f"{self.url}/dags/{dag_id}/runs/{run_id}")
        state = self.page.get_by_test_id("header-card").get_by_test_id("state-badge")
        expect(state).to_have_text(re.compile("Success|Failed"), timeout=_RUN_SECONDS * 1000)
        return state.inner_text()

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Open the log of a task instance that has ended; return what stands on the page.

        :param dag_id: the DAG
        :param run_id: the run
        :param task_id: the task
        """
        self._task(dag_id, run_id, task_id)
        text = self.page.get_by_test_id("virtualized-list")
        expect(text).to_contain_text("Post Execute")
        return text.inner_text()

    def returned(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Open what a task instance has returned; return what stands there.

        :param dag_id: the DAG
        :param run_id: the run
        :param task_id: the task
        """
        self._task(dag_id, run_id, task_id)
        self.page.get_by_role("link", name="Storage").click()
        self.page.get_by_role("link", name="XCom").click()
        value = self.page.get_by_role("row").filter(has_text="return_value").get_by_role("code")
        self.page.get_by_role("button", name=re.compile("^Expand")).click()
        expect(value).to_contain_text(":")
        return value.inner_text().replace("\xa0", " ")

    def contact_center_sync(self) -> FrameLocator:
        """Open the page of that name by its entry in the menu, and wait until it is filled."""
        self.page.get_by_role("link", name="Contact center sync").click()
        return self._filled()

    def contact_center_sync_of(self, dag_id: str, task_id: str) -> FrameLocator:
        """Open the tab of that name at a task, and wait until it is filled.

        :param dag_id: the DAG
        :param task_id: the task
        """
        self.page.goto(f"{self.url}/dags/{dag_id}/tasks/{task_id}")
        self.page.get_by_role("link", name="Contact center sync").last.click()  # the first is in the menu
        return self._filled()

    def _filled(self) -> FrameLocator:
        frame = self.page.frame_locator("iframe[title='Contact center sync']")
        expect(frame.locator("main[aria-busy=false]")).to_be_visible()
        return frame

    def _task(self, dag_id: str, run_id: str, task_id: str) -> None:
        self.page.goto(f"{self.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}")


class ConnectionForm:
    """The form of one connection, open on the screen.

    :param dialog: the dialog it stands in
    """

    def __init__(self, dialog: Locator) -> None:
        self.dialog = dialog

    def field(self, label: str) -> Locator:
        """Return the field, with its label and its help text."""
        name = self.dialog.page.get_by_text(re.compile(rf"^\s*{re.escape(label)}\s*\*?$"))  # *: is needed
        return self.dialog.get_by_role("group").filter(has=name).first

    def control(self, label: str) -> Locator:
        """Return what a field is filled in with."""
        return self.field(label).locator("input, textarea").first

    def open(self, section: str) -> None:
        """Unfold *Standard Fields*, *Extra Fields* or *Extra Fields JSON*, which folds the others."""
        button = self.dialog.get_by_role("button", name=section, exact=True)
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        expect(button).to_have_attribute("aria-expanded", "true")

    def fill(self, label: str, value: object) -> None:
        """Fill in one field of the section that is open: type, choose or switch on."""
        field, control = self.field(label), self.control(label)
        expect(control).to_be_attached()
        if control.get_attribute("type") == "checkbox":
            field.locator("label:has(input)").click()
        elif control.get_attribute("role") == "combobox":
            control.fill(str(value))
            self.dialog.page.get_by_role("option", name=str(value), exact=True).click()
        else:
            control.fill(str(value))
            control.blur()

    def fill_in(self, fields: Mapping[str, object], extras: Mapping[str, object]) -> None:
        """Fill in several standard fields, then several extra fields, each by its label."""
        for section, values in (("Standard Fields", fields), ("Extra Fields", extras)):
            if values:
                self.open(section)
            for label, value in values.items():
                self.fill(label, value)

    def save(self) -> None:
        """Press *Save*, and wait until the form closes, which it does when it is saved."""
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_be_hidden()
