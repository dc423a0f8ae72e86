"""Every difference between the Airflow versions that this provider supports.

Names come from Airflow's own ``common.compat`` package, which knows where each version keeps them.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    Asset,
    BaseHook,
    BaseOperator,
    Connection,
    Context,
    Variable,
    XComArg,
    mask_secret,
)
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "Connection",
    "Context",
    "Variable",
    "XComArg",
    "get_variable",
    "mask_secret",
]


def get_variable(key: str) -> Any:
    """Return an Airflow Variable, or ``None`` when there is none.

    Airflow 3 renamed the argument that carries the default.

    :param key: name of the Variable
    """
    default: dict[str, Any] = {"default" if AIRFLOW_V_3_0_PLUS else "default_var": None}
    return Variable.get(key, **default)
