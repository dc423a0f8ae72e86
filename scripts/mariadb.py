"""A throw-away MariaDB server, from the binaries of the machine: Debian's package mariadb-server-core."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.ports import free_port

#: Nothing in it is to outlive the machine, and several servers are to fit into one.
_QUICK = (
    "--debug-no-sync",
    "--innodb-file-per-table=0",
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
    "--skip-name-resolve",
)


@contextlib.contextmanager
def mariadb(directory: Path, *options: str) -> Iterator[str]:
    """Run a new server with an empty database in a directory, and remove both at the end.

    :param directory: where to keep the data; replaced when it exists
    :param options: further options of the server
    :return: the Airflow connection to it, as JSON
    """
    program, tables = _installed()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    data, log, scratch = directory / "data", directory / "log", directory / "tmp"
    data.mkdir()
    scratch.mkdir()  # of its own: a server that starts deletes the temporary tables that it finds
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={scratch}", *_QUICK]
    if os.geteuid() == 0:
        # It refuses to be root unasked. Another user could not reach its files below a home closed to others.
        common.append("--user=root")
    # Without Debian's script for this, whose package would start a server of its own.
    with log.open("wb") as said:
        subprocess.run(
            [program, *common, "--bootstrap"],
            input=f"CREATE DATABASE mysql;\nUSE mysql;\n{tables.read_text()}".encode(),
            check=True,
            stdout=said,
            stderr=said,
        )
    password, port = secrets.token_urlsafe(), free_port()
    first = directory / "first.sql"  # a command line is no place for a password
    first.touch(mode=0o600)
    first.write_text(
        f"CREATE USER cc@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO cc@'127.0.0.1' WITH GRANT OPTION;\n"
        "CREATE DATABASE warehouse;\n"
    )
    place = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={data}/s", f"--pid-file={data}/pid"]
    with log.open("ab") as said:
        server = subprocess.Popen(
            [program, *common, *place, f"--init-file={first}", *options],
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for the program that uses the server, which then stops it
        )
    try:
        _wait_for(server, log)
        yield json.dumps(
            {
                "conn_type": "mysql",
                "host": "127.0.0.1",
                "port": port,
                "login": "cc",
                "password": password,
                "schema": "warehouse",
                "extra": {"client": "mysql-connector-python"},
            }
        )
    finally:
        server.kill()  # at once: nothing in it is worth a checkpoint
        server.wait(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)


def sqlalchemy_url(connection: Mapping[str, Any], database: str = "warehouse") -> str:
    """Return the SQLAlchemy URL of a database.

    :param connection: the Airflow connection to its server
    :param database: its name; may be empty
    """
    host, port, login, password = (connection[part] for part in ("host", "port", "login", "password"))
    return f"mysql+mysqlconnector://{login}:{password}@{host}:{port}/{database}"


def _installed() -> tuple[str, Path]:
    """Return the server's program, and the file with the statements for its own tables."""
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    if program is None:
        raise RuntimeError("MariaDB is not installed. On Debian: apt-get install mariadb-server-core")
    share = Path(program).resolve().parent.parent / "share"
    for folder in ("mysql", "mariadb"):
        if (share / folder / "mysql_system_tables.sql").exists():
            return program, share / folder / "mysql_system_tables.sql"
    raise RuntimeError(f"{program} has no mysql_system_tables.sql below {share}")


def _wait_for(server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        if "ready for connections" in log.read_text(errors="replace"):
            return
        time.sleep(0.02)
    raise RuntimeError(f"MariaDB did not start:\n{log.read_text(errors='replace')}")
