"""A throw-away server that answers like Snowflake: fakesnow, over TLS and behind a password.

Snowflake's own client connects to it, started by Airflow's own hook: nothing in either is replaced. fakesnow,
which runs DuckDB, has no locks: it gets those that Snowflake documents.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_cc.simulator.certificates import provide_certificates
from scripts.ports import free_port

#: Snowflake's code and text for a refused password.
_REFUSED = {
    "success": False,
    "code": "390100",
    "message": "Incorrect username or password was specified.",
    "data": {},
}
#: Snowflake's code for a statement that waited for another transaction's lock for too long.
_LOCKED = 625
#: The statements that lock a table, with its name. An INSERT does not.
_LOCKING = re.compile(r"\s*(?:UPDATE|DELETE\s+FROM|MERGE\s+INTO)\s+([^\s(]+)", re.IGNORECASE)


class _Locks:
    """Locks on tables, each held by a session until its transaction ends."""

    def __init__(self) -> None:
        self._holders: dict[tuple[Any, str], weakref.ref[Any]] = {}
        self._changed = threading.Condition()

    def take(self, session: Any, table: str, seconds: float = 30) -> bool:
        """Wait until no other session holds the lock, then take it."""
        key, deadline = (session.database, table.upper()), time.monotonic() + seconds
        with self._changed:
            while (holder := self._holders.get(key, weakref.ref(session))()) not in (None, session):
                del holder  # a session that is closed is forgotten meanwhile
                self._changed.wait(0.1)
                if time.monotonic() > deadline:
                    return False
            self._holders[key] = weakref.ref(session)
        return True

    def release(self, session: Any) -> None:
        """Release all locks of a session."""
        with self._changed:
            self._holders = {key: holder for key, holder in self._holders.items() if holder() is not session}
            self._changed.notify_all()


@contextlib.contextmanager
def snowflake(directory: Path) -> Iterator[str]:
    """Run a new server without databases, which makes each one that a client names.

    :param directory: where to keep certificates and the log
    :return: as JSON the Airflow connection to it, its log, and the file of the authority that issued its
        certificate, which a client takes from the variable ``REQUESTS_CA_BUNDLE``
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = provide_certificates(directory / "tls")
    password, port = secrets.token_urlsafe(), free_port()
    log = directory / "log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "scripts.snowflake", str(port), files.certificate, files.key],
            env={**os.environ, "TMPDIR": str(directory)},  # fakesnow leaves a folder behind
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for the program that uses the server, which then stops it
        )
    try:
        if server.stdin is not None:
            with server.stdin as pipe:
                pipe.write(password.encode())  # a command line is no place for a password
        _wait_for(server, port, log)
        yield json.dumps(
            {
                "authority": str(files.ca),
                "log": str(log),
                "connection": {
                    "conn_type": "snowflake",
                    "login": "cc",
                    "password": password,
                    "schema": "public",
                    "extra": {
                        "account": "fakesnow",
                        "database": "warehouse",
                        "host": "127.0.0.1",
                        "port": port,
                    },
                },
            }
        )
    finally:
        server.kill()
        server.wait(timeout=30)


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"fakesnow did not start:\n{log.read_text(errors='replace')}")


def _serve(port: int, certificate: str, key: str) -> None:
    import duckdb
    import uvicorn
    from fakesnow import arrow
    from fakesnow.cursor import FakeSnowflakeCursor
    from snowflake.connector.errors import ProgrammingError
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    pa: Any = importlib.import_module("pyarrow")  # whose types are incomplete
    server = importlib.import_module("fakesnow.server")  # the package has a function of this name
    password, locks = sys.stdin.read(), _Locks()
    execute, moments = FakeSnowflakeCursor.execute, arrow.timestamp_to_sf_struct

    async def log_in(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        accepted = json.loads(body)["data"].get("PASSWORD") == password
        print("password", "accepted" if accepted else "refused", flush=True)
        if not accepted:
            return JSONResponse(_REFUSED)
        answer: Response = await server.login_request(request)
        return answer

    def locked_out(text: str) -> Exception:
        error: Exception = ProgrammingError(msg=text, errno=_LOCKED, sqlstate="57014")
        return error

    def execute_locked(cursor: Any, command: str, *arguments: Any, **options: Any) -> Any:
        session = cursor._conn
        locking = _LOCKING.match(command)
        if locking and not locks.take(session, locking[1]):
            raise locked_out("another transaction has locked the table")
        try:
            return execute(cursor, command, *arguments, **options)
        except duckdb.TransactionException as error:
            # fakesnow would answer with status 500, on which Snowflake's client repeats the statement.
            raise locked_out(str(error).splitlines()[0]) from error
        finally:
            if session._autocommit or command.strip().upper() in ("COMMIT", "ROLLBACK"):
                locks.release(session)

    def moments_or_null(column: Any) -> Any:
        # fakesnow answers 1970 where a moment is null.
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        found = moments(column)
        parts = [found.field(number).fill_null(0) for number in range(found.type.num_fields)]
        return pa.StructArray.from_arrays(parts, fields=list(found.type), mask=column.is_null())

    arrow.timestamp_to_sf_struct = moments_or_null
    FakeSnowflakeCursor.execute = execute_locked
    server.app.router.routes.insert(0, Route("/session/v1/login-request", log_in, methods=["POST"]))
    uvicorn.run(
        server.app,
        host="127.0.0.1",
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_level="warning",
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]), *sys.argv[2:])
