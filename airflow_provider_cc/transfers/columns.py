"""Columns of the agent table; an alias of :mod:`airflow_provider_cc.sync.columns`."""

from airflow_provider_cc.sync.columns import AGENT_COLUMNS, Column

__all__ = ["AGENT_COLUMNS", "Column"]
