"""What the sensors have in common: which failure skips a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_cc.compat import AirflowSensorTimeout, AirflowSkipException, BaseSensorOperator
from airflow_provider_cc.exceptions import CCError

if TYPE_CHECKING:
    from airflow_provider_cc.compat import Context


class BaseSensor(BaseSensorOperator):
    """Treats failures alike in every mode and with every Airflow.

    ``soft_fail`` skips a wait in vain. It does not skip what goes wrong, as Airflow's own sensors do with a
    refused credential, and with everything when deferred: nobody would notice. ``never_fail`` skips either.
    """

    def execute(self, context: Context) -> Any:
        """Poke until the wait is over.

        :raises AirflowSensorTimeout: in vain
        :raises CCError: something is wrong
        """
        with self._failing_in_sight():
            return super().execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger has fired."""
        with self._failing_in_sight():
            return super().resume_execution(next_method, next_kwargs, context)

    @contextmanager
    def _failing_in_sight(self) -> Iterator[None]:
        try:
            yield
        except AirflowSkipException as skip:
            if isinstance(skip.__cause__, CCError) and not self.never_fail:
                raise skip.__cause__ from None
            raise
        except (CCError, AirflowSensorTimeout) as error:
            if self.never_fail:  # Airflow asks for it neither in every mode nor in every version
                raise AirflowSkipException(str(error)) from error
            raise
