"""Airflow's UI gets the page where it can show one; the rest of Airflow hardly notices."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from airflow_provider_cc.compat import UI_HAS_PAGES
from airflow_provider_cc.exceptions import ErrorCode
from airflow_provider_cc.ui.advice import ADVICE, advice
from airflow_provider_cc.ui.plugin import ContactCenterSyncPlugin
from tests.docs.test_codes import told

LOAD_AS_A_WORKER_DOES = """
import sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
assert "airflow_provider_cc.ui.plugin" in sys.modules
print(*(name for name in ("airflow_provider_cc.ui.app", "aiohttp") if name in sys.modules))
"""


def test_airflow_finds_the_plugin() -> None:
    (entry_point,) = entry_points(group="airflow.plugins", name="contact_center_sync")

    assert entry_point.load() is ContactCenterSyncPlugin


def test_only_the_api_server_loads_the_page() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AS_A_WORKER_DOES], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1:] == [""]


@pytest.mark.skipif(not UI_HAS_PAGES, reason="this Airflow's UI cannot show pages")
def test_a_menu_entry_and_a_tab_lead_to_the_page() -> None:
    plugin = ContactCenterSyncPlugin()

    (app,) = plugin.fastapi_apps
    menu, tab = plugin.external_views
    assert (menu["name"], menu["destination"], tab["destination"]) == ("Contact center sync", "nav", "task")
    for view in (menu, tab):
        # Without a slash in front: the UI adds the path that Airflow is served at.
        assert f"/{view['href'].partition('?')[0]}" == f"{app['url_prefix']}/"
    assert len({menu["url_route"], tab["url_route"]}) == 2


@pytest.mark.skipif(UI_HAS_PAGES, reason="this Airflow's UI can show pages")
def test_there_is_nothing_where_the_ui_cannot_show_it() -> None:
    plugin = ContactCenterSyncPlugin()

    assert plugin.fastapi_apps == plugin.external_views == []


def test_there_is_advice_on_every_reject() -> None:
    statuses = {code for code in ADVICE if code.startswith("HTTP ")}

    assert set(ADVICE) - statuses == set(ErrorCode)
    assert statuses <= told("## HTTP status")
    assert advice("queryAgentInfoByAccount: no_agent") == ADVICE["no_agent"]
    assert "reject table" in advice("queryAgentInfoByAccount: 42")
