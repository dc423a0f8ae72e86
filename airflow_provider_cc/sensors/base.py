"""Base class of the sensors: ``soft_fail`` in every mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.compat import AirflowSensorTimeout, AirflowSkipException, BaseSensorOperator
from airflow_provider_cc.exceptions import CCError

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context


class BaseSensor(BaseSensorOperator):
    """Handles failures the same way in every mode and on every Airflow version.

    ``soft_fail`` and ``never_fail`` skip the task when the wait times out or a call fails.
    """

    def execute(self, context: Context) -> Any:
        """Poke until the wait is over.

        :raises AirflowSensorTimeout: the wait timed out
        :raises CCError: a call failed
        """
        with self._skipping():
            return super().execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after the trigger has fired."""
        with self._skipping():
            return super().resume_execution(next_method, next_kwargs, context)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        try:
            yield
        except (CCError, AirflowSensorTimeout) as error:
            # Airflow itself does this only for some exceptions and modes.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
