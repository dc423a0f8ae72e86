"""Serves the page to signed-in users, with the DAGs that they may read."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy.orm import Session

from airflow_provider_cc.ui.runs import (
    OVERVIEW_RUNS,
    SYNC_RUNS,
    Run,
    Status,
    by_target,
    dags_with_syncs,
    latest_runs,
)


@dataclass(frozen=True)
class Overview:
    """Every table and tenant that a user may see.

    :param now: the server's clock
    :param tables: their status
    """

    now: datetime
    tables: list[Status]


@dataclass(frozen=True)
class History:
    """The runs of one sync.

    :param now: the server's clock
    :param runs: newest first
    """

    now: datetime
    runs: list[Run]


def create_app() -> FastAPI:
    """Return the page's server, which Airflow mounts without access control."""
    app = FastAPI(
        dependencies=[Depends(get_user)],  # for all routes, including future ones: 401 unless signed in
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    page, script = ((Path(__file__).parent / name).read_text() for name in ("page.html", "page.js"))
    headers = _headers(page)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(headers)
        return response

    @app.get("/")
    def html() -> Response:
        return Response(page, media_type="text/html")

    @app.get("/page.js")
    def javascript() -> Response:
        return Response(script, media_type="text/javascript")

    @app.get("/api/tables")
    def tables(user: GetUserDep, dag_id: str | None = None, task_id: str | None = None) -> Overview:
        with create_session(scoped=False) as session:
            found = latest_runs(session, _readable(session, user, dag_id), OVERVIEW_RUNS, task_id)
        return Overview(datetime.now(UTC), by_target(found))

    @app.get("/api/runs")
    def runs(user: GetUserDep, dag_id: str, task_id: str, map_index: int = -1) -> History:
        with create_session(scoped=False) as session:
            found = latest_runs(session, _readable(session, user, dag_id), SYNC_RUNS, task_id, map_index)
        return History(datetime.now(UTC), found)

    return app


def _headers(page: str) -> dict[str, str]:
    """Restrict the page: no external content, nothing inline except its own style, only in Airflow's frames.

    :param page: the HTML
    """
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    style_hash = b64encode(sha256(style.encode()).digest()).decode()
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
        f"style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        "X-Frame-Options": "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _readable(session: Session, user: BaseUser, dag_id: str | None) -> set[str]:
    """Return the DAGs with a sync that a user may read, including their task instances and XComs.

    :param session: session of the metadata database
    :param user: the signed-in user
    :param dag_id: consider only this DAG
    """
    dag_ids = dags_with_syncs(session, dag_id)
    if not dag_ids:
        return set()
    manager = get_auth_manager()
    # This considers teams; a query about one DAG would have to specify its team.
    dag_ids &= manager.get_authorized_dag_ids(user=user, method="GET", session=session)
    return {
        dag_id
        for dag_id in dag_ids
        if all(
            manager.is_authorized_dag(
                method="GET", access_entity=entity, details=DagDetails(id=dag_id), user=user
            )
            for entity in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)
        )
    }
