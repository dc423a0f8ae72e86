"""The warehouse: connections opened by its hook, and transactions that are retried where that helps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_provider_cc.compat import AirflowException, BaseHook
from airflow_provider_cc.exceptions import CCConfigError, CCError
from airflow_provider_cc.sync.dialects import DIALECTS, Dialect, find

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Attempts of a transaction after conflicts or lost connections, and seconds after which no attempt begins.
MAX_TRIES, MAX_SECONDS = 8, 60.0
#: Rows fetched at a time if a result may be long.
FETCH = 1000
#: Names of every driver's errors, according to the standard for drivers.
_DRIVERS = {"DatabaseError", "InterfaceError"}


class Database:
    """A supported database.

    :param dialect: what is specific to this database
    :param label: its name in errors
    """

    def __init__(self, dialect: Dialect, label: str) -> None:
        self.dialect = dialect
        self._label = label
        self._engine: sa.engine.Engine | None = None
        self._closed = False

    @property
    def engine(self) -> sa.engine.Engine:
        """The engine; the first use connects."""
        if self._engine is None:
            self._engine = self._explained(self.dialect.engine)
        return self._engine

    def transaction(self, work: Callable[[sa.engine.Connection], T], tries: int = MAX_TRIES) -> T:
        """Run a transaction; repeat it if a conflict or a lost connection ended it.

        :param work: function that does the work; it may be called repeatedly
        :param tries: maximum number of attempts, including the first
        :raises CCError: the transaction failed; the text has the database's reason, but no value of a row
        """

        def attempt() -> T:
            with self.engine.begin() as connection:
                result = work(connection)
                if self._closed:
                    raise CCError(
                        f"Database connection closed ({self._label}); the transaction was not committed"
                    )
                return result

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(tries) | tenacity.stop_after_delay(MAX_SECONDS),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=10),
            retry=tenacity.retry_if_exception(self._may_pass),
            before_sleep=self._log_retry,
            reraise=True,
        )
        result: T = self._explained(retrying, attempt)
        return result

    def stream(self, query: Any) -> Generator[Any, None, None]:
        """Iterate over a result of any length, in constant memory.

        :param query: an SQLAlchemy query, or a text, in which neither ``:name`` nor ``%`` is special
        """
        options: dict[str, Any] = {"stream_results": True, "max_row_buffer": FETCH}
        with self._explained(self.engine.connect) as connection:
            if isinstance(query, str):
                connection = connection.execution_options(no_parameters=True, **options)
                result = self._explained(connection.exec_driver_sql, query)
            else:
                result = self._explained(connection.execution_options(**options).execute, query)
            with closing(result):  # even if the caller does not read to the end
                while rows := self._explained(result.fetchmany, FETCH):
                    yield from rows

    def close(self) -> None:
        """Close the connections. A transaction that is running in another thread will not be committed."""
        self._closed = True
        if self._engine is not None:
            self._engine.dispose()

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, DBAPIError) and self.dialect.may_pass(error)

    def _explained(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return function(*arguments)
        except SQLAlchemyError as error:
            reason = self.dialect.reason(error)
        except CCError:
            raise
        except Exception as error:  # the driver's own error, raised when the hook opens a connection
            if _DRIVERS.isdisjoint(kind.__name__ for kind in type(error).__mro__):
                raise
            reason = self.dialect.reason(error)
        raise CCError(f"Database error ({self._label}): {reason}")

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        log.warning(
            "Database transaction failed (attempt %d of %d, %s: %s); retrying in %.1f s",
            state.attempt_number,
            MAX_TRIES,
            type(getattr(error, "orig", error)).__name__,
            self.dialect.reason(error) if error is not None else "",
            state.upcoming_sleep,
        )


def database_of(conn_id: str) -> Database:
    """Return the database of an Airflow connection.

    :param conn_id: connection ID
    :raises CCConfigError: the database is not supported
    """
    connection: Any = BaseHook.get_connection(conn_id)
    kind, name = find(connection.conn_type), connection.conn_type
    try:
        hook: Any = connection.get_hook()
    except AirflowException:
        kind, name = None, f"{name}, whose Airflow provider is not installed"
    else:
        # Some hooks read the connection from Airflow whenever they connect, which threads must not do.
        hook.get_connection = lambda *_: connection
        if kind is None:
            kind = find(name := _dialect_name(hook))
    if kind is None:
        raise CCConfigError(
            f"connection {conn_id!r} is not a supported database ({name}): it must be one of "
            f"{', '.join(DIALECTS)}. docs/dialects.md shows how to add one"
        )
    return Database(kind(hook), f"connection {conn_id!r}")


def _dialect_name(hook: Any) -> str:
    """Return SQLAlchemy's name for a hook's database, or otherwise the connection type."""
    try:
        engine: sa.engine.Engine = hook.get_sqlalchemy_engine()
    except Exception:  # not SQL, no dialect installed, or an invalid URL: handled the same way
        return str(getattr(hook, "conn_type", type(hook).__name__))
    return engine.dialect.name
