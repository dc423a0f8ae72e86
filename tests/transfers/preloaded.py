"""Everything that a try of a task imports: what forks the tries imports it once for all of them."""

import airflow.providers.postgres.hooks.postgres
import airflow.providers.sqlite.hooks.sqlite  # noqa: F401
from airflow.models import import_all_models

import airflow_provider_cc.transfers.agents_to_sql  # noqa: F401

# Who reads a Variable imports all of these, which takes longer than the whole try.
import_all_models()
