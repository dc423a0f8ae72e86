"""The warehouses, contact centres and Airflows of the tests in ``tests/system``."""

from tests.system.conftest import airflow_home, postgres_connection, warehouse

__all__ = ["airflow_home", "postgres_connection", "warehouse"]
