"""Nobody sees anything without signing in, and nobody more than the auth manager allows."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.ui.conftest import Server
from tests.ui.metadata import TaskRun, insert, result, target

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATHS = ("/", "/page.js", "/api/tables", "/api/runs?dag_id=north_hourly&task_id=sync")


@pytest.fixture(autouse=True)
def _two_dags(metadata: ModuleType) -> None:
    insert(
        TaskRun(dag_id, 1, told=target(dag_id.partition("_")[0]), returned=result())
        for dag_id in ("north_hourly", "south_hourly")
    )


def tenants(reply: Any) -> list[str]:
    return [status["target"]["tenant"] for status in reply.json()["tables"]]


@pytest.mark.parametrize("path", PATHS)
def test_without_signing_in_there_is_nothing(server: Server, path: str) -> None:
    reply = server.get(path)

    assert reply.status_code == 401
    assert "north" not in reply.text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/page.html"])
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert server.get(path, "admin").status_code == 404


def test_a_user_sees_the_dags_that_they_may_read(server: Server) -> None:
    assert tenants(server.get("/api/tables", "admin")) == ["north", "south"]
    assert tenants(server.get("/api/tables", "north")) == ["north"]


def test_a_dag_that_may_not_be_read_looks_like_one_that_is_not_there(server: Server) -> None:
    hidden, missing, readable = (
        server.get("/api/runs", "north", dag_id=dag_id, task_id="sync")
        for dag_id in ("south_hourly", "no_such_dag", "north_hourly")
    )

    assert hidden.json()["runs"] == missing.json()["runs"] == []
    assert hidden.status_code == missing.status_code == 200
    assert [run["dag_id"] for run in readable.json()["runs"]] == ["north_hourly"]
    assert tenants(server.get("/api/tables", "north", dag_id="south_hourly", task_id="sync")) == []


def test_what_a_task_returned_is_seen_only_by_those_who_may_read_xcoms(server: Server) -> None:
    assert tenants(server.get("/api/tables", "clerk")) == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("user", ["admin", None])
def test_no_browser_lets_another_site_frame_or_script_it(server: Server, path: str, user: str | None) -> None:
    headers = server.get(path, user).headers

    policy = dict(each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["frame-ancestors"] == "'self'"
    assert "unsafe" not in str(policy)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
