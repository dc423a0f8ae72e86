"""Tells Airflow's UI of the page; loaded by every part of Airflow, so it imports next to nothing.

Airflow finds it by the entry point ``airflow.plugins``: plugins that a provider's info names are loaded only
where ``[core] lazy_discover_providers`` is off.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow_provider_cc.compat import UI_HAS_PAGES, AirflowPlugin

NAME = "Contact center sync"

#: Where the page is, below Airflow's own address. Relative: the UI resolves it against its base URL.
PREFIX = "contact_center_sync"


class ContactCenterSyncPlugin(AirflowPlugin):
    """A menu entry and a tab at each task; nothing where Airflow's UI has no place for pages."""

    name = "contact_center_sync"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page's server; made when the API server asks, which alone has FastAPI."""
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
