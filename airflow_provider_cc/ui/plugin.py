"""Adds the page to Airflow's UI; loaded by every part of Airflow, so it imports almost nothing.

Airflow finds it by the entry point ``airflow.plugins``, because plugins in the provider info are loaded only
if ``[core] lazy_discover_providers`` is off.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow_provider_cc.compat import UI_HAS_PAGES, AirflowPlugin

NAME = "Contact center sync"

#: Path of the page, relative to Airflow's base URL, against which the UI resolves it.
PREFIX = "contact_center_sync"


class ContactCenterSyncPlugin(AirflowPlugin):
    """A menu entry and a tab for each task; nothing if Airflow's UI does not support pages."""

    name = "contact_center_sync"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page's server; created on request by the API server, because only that has FastAPI."""
        if not UI_HAS_PAGES:
            return []
        from airflow_provider_cc.ui.app import create_app

        return [{"app": create_app(), "url_prefix": f"/{PREFIX}", "name": NAME}]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Where the UI shows the page."""
        if not UI_HAS_PAGES:
            return []
        menu = {"destination": "nav", "href": f"{PREFIX}/", "url_route": PREFIX}
        tab = {
            "destination": "task",
            "href": f"{PREFIX}/?dag_id={{DAG_ID}}&task_id={{TASK_ID}}",
            "url_route": f"{PREFIX}_of_task",
        }
        return [{"name": NAME, **view} for view in (menu, tab)]
