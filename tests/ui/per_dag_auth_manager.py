"""An auth manager whose users may read some DAGs only: Airflow's simple one has roles for all of them."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class PerDagAuthManager(SimpleAuthManager):
    """Lets ``north`` read DAGs whose name begins so, and ``clerk`` all DAGs, but no XCom."""

    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        """Decide as the simple one does, and by the name of the DAG."""
        if user.username == "north" and details is not None and not (details.id or "").startswith("north"):
            return False
        if user.username == "clerk" and access_entity == DagAccessEntity.XCOM:
            return False
        return super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
