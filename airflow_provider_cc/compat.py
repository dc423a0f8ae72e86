"""Every difference between the Airflow versions that this provider supports.

Names come from Airflow's own ``common.compat`` package, which knows where each version keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    Asset,
    BaseHook,
    BaseOperator,
    BaseSensorOperator,
    Connection,
    Context,
    PokeReturnValue,
    Variable,
    XComArg,
    conf,
    mask_secret,
)
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from asgiref.sync import sync_to_async

try:  # from Airflow 3.3 on
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:
    ExceptionRetryPolicy = RetryAction = RetryRule = None  # type: ignore[assignment,misc]

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "BaseSensorOperator",
    "Connection",
    "Context",
    "ExceptionRetryPolicy",
    "PokeReturnValue",
    "RetryAction",
    "RetryRule",
    "Variable",
    "XComArg",
    "conf",
    "get_variable",
    "in_thread",
    "mask_secret",
]

P = ParamSpec("P")
T = TypeVar("T")


def get_variable(key: str) -> Any:
    """Return an Airflow Variable, or ``None`` when there is none.

    Airflow 3 renamed the argument that carries the default.

    :param key: name of the Variable
    """
    default: dict[str, Any] = {"default" if AIRFLOW_V_3_0_PLUS else "default_var": None}
    return Variable.get(key, **default)


def in_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a function to be awaited that runs another one in a thread, where it may talk to Airflow.

    In a triggerer of Airflow 3.0 no thread of asyncio's own may: it would read replies that the event loop
    waits for.

    :param function: what blocks
    """
    return sync_to_async(function, thread_sensitive=False)
