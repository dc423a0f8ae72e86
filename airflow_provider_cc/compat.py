"""Every difference between the Airflow versions that this provider supports.

Names come from Airflow's own ``common.compat`` package, which imports them from where each version has them.
"""

from __future__ import annotations

import logging
import sys
import threading
from asyncio import new_event_loop
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowPlugin,
    AirflowSensorTimeout,
    AirflowSkipException,
    Asset,
    BaseHook,
    BaseOperator,
    BaseSensorOperator,
    Connection,
    Context,
    PokeReturnValue,
    Stats,
    TaskGroup,
    Variable,
    XComArg,
    conf,
    get_current_context,
    mask_secret,
)
from airflow.providers.common.compat.version_compat import (
    AIRFLOW_V_3_0_PLUS,
    get_base_airflow_version_tuple,
)
from asgiref.sync import sync_to_async
from opentelemetry import metrics, trace

try:  # from Airflow 3.3 on
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:
    ExceptionRetryPolicy = RetryAction = RetryRule = None  # type: ignore[assignment,misc]

try:  # Airflow's own tracer, before it used OpenTelemetry's
    from airflow.traces.tracer import Trace  # type: ignore[import-not-found]
except ImportError:
    Trace = None

with suppress(ImportError):  # Airflow 3 brings it along; it takes less CPU time
    from uvloop import new_event_loop

__all__ = [
    "UI_HAS_PAGES",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowPlugin",
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
    "Stats",
    "TaskGroup",
    "Variable",
    "XComArg",
    "conf",
    "deployment",
    "flush_telemetry",
    "get_variable",
    "in_thread",
    "mask_secret",
    "new_event_loop",
    "set_variable",
    "tracing",
]

log = logging.getLogger(__name__)

#: Whether Airflow's UI can show pages of plugins. 3.1.0 can, but does not pass them the signed-in user.
UI_HAS_PAGES = get_base_airflow_version_tuple() >= (3, 1, 1)

P = ParamSpec("P")
T = TypeVar("T")


class _Tracebacks(logging.Filter):
    """Drops the traceback that Airflow logs in this thread when it cannot reach its database."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self.error: BaseException | None = None
        self._logger = logging.getLogger("airflow.models.variable")

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread or not record.exc_info:
            return True
        self.error = record.exc_info[1]
        return False

    def __enter__(self) -> _Tracebacks:
        self._logger.addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeFilter(self)


def get_variable(key: str) -> str | None:
    """Return an Airflow Variable, or ``None`` if it does not exist, is empty, or cannot be read.

    :param key: name of the Variable
    """
    with _Tracebacks() as seen:
        try:
            variables = _variables()
            # Airflow 3 renamed the argument that carries the default.
            renamed = AIRFLOW_V_3_0_PLUS and variables is Variable
            value = variables.get(key, **{"default" if renamed else "default_var": None})
        except Exception as error:
            seen.error, value = error, None
    if seen.error is not None and value is None:
        log.warning("Variable %s cannot be read (%s).", key, type(seen.error).__name__)
    return value if isinstance(value, str) and value else None


def set_variable(key: str, value: str, description: str | None = None) -> bool:
    """Write an Airflow Variable, and return whether that worked.

    :param key: name of the Variable
    :param value: its value
    :param description: what it is for, shown in the UI
    """
    with _Tracebacks():
        try:
            _variables().set(key, value, description=description)
        except Exception as error:
            # Its text may hold the value, as the parameter of a statement.
            log.warning("Variable %s cannot be written (%s).", key, type(error).__name__)
            return False
    return True


def _variables() -> Any:
    """Return the class that finds Variables in this process.

    From Airflow 3 on, the Task SDK's class works only in tasks and triggers. When a connection is tested from
    the UI or the command line, it finds nothing and cannot write.
    """
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    if not AIRFLOW_V_3_0_PLUS or hasattr(task_runner, "SUPERVISOR_COMMS"):
        return Variable
    from airflow.models.variable import Variable as StoredVariable

    return StoredVariable


def deployment() -> str:
    """Return an identifier of this Airflow deployment: the address of its web interface."""
    section = "api" if AIRFLOW_V_3_0_PLUS else "webserver"
    return str(conf.get(section, "base_url", fallback=""))[:250]


def tracing() -> tuple[trace.Tracer, Any]:
    """Return OpenTelemetry's tracer, and the parent of a task's spans if it is not the current span."""
    if Trace is not None and conf.getboolean("traces", "otel_on", fallback=False):
        return Trace.get_tracer("airflow_provider_cc"), _task_span()
    return trace.get_tracer("airflow_provider_cc"), None


def _task_span() -> Any:
    """Return the context of Airflow 2's span for this task; Airflow 3.0 does not pass a task its span."""
    if AIRFLOW_V_3_0_PLUS:
        return None
    with suppress(AirflowException):  # outside a task
        task: Any = get_current_context()["ti"]
        from airflow.traces.tracer import gen_context
        from airflow.traces.utils import gen_span_id, gen_trace_id  # type: ignore[import-not-found]

        ids = gen_trace_id(task.dag_run, as_int=True), gen_span_id(task, as_int=True)
        return trace.set_span_in_context(trace.NonRecordingSpan(gen_context(*ids)))
    return None


def flush_telemetry(seconds: float) -> None:
    """Send what OpenTelemetry has collected: in some versions, a task's process ends without doing so.

    :param seconds: how long to wait for a collector that does not answer
    """
    gathered: list[Any] = [metrics.get_meter_provider(), trace.get_tracer_provider()]
    if Trace is not None and conf.getboolean("traces", "otel_on", fallback=False):
        gathered.append(Trace.span_processor)

    def flush() -> None:
        for each in gathered:
            with suppress(Exception):
                each.force_flush()

    gathered = [each for each in gathered if hasattr(each, "force_flush")]
    if gathered:
        thread = threading.Thread(
            target=flush, daemon=True
        )  # the exporters have their own time-outs, too long
        thread.start()
        thread.join(seconds)


def in_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return an awaitable function that runs a blocking one in a thread, where it can call Airflow.

    In a triggerer of Airflow 3.0, asyncio's own threads cannot: they would read replies that the event loop
    waits for.

    :param function: the blocking function
    """
    return sync_to_async(function, thread_sensitive=False)
