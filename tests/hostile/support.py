"""One call by either client, to a server that does what it likes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.hooks.connection import CCSettings
from tests.hooks.test_connection_failures import by_aiohttp, by_requests, settings

CLIENTS = {"requests": by_requests, "aiohttp": by_aiohttp}


def ask(client: str, connection: CCSettings) -> Any:
    """Make a call by a client; a failure of ours is a result, any other is the test's."""
    try:
        return asyncio.run(CLIENTS[client](connection))
    except CCError as error:
        return error


def to(port: int, **changes: Any) -> CCSettings:
    """Connect to a port; certificates are not what these tests are about."""
    return settings(port, **{"verify": False, **changes})


def peak() -> int:
    """Most memory of this process since :func:`forget_peak`, in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Let :func:`peak` start over."""
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def main(client: str, ports: str) -> None:
    """Ask servers for a reply each; print of each what it ended in, and its CPU seconds and MiB."""
    ask(client, to(1))  # what both clients load when first used does not count
    results = {}
    for name, port in json.loads(ports).items():
        forget_peak()
        before, begun = peak(), time.process_time()
        outcome = ask(client, to(port, timeout=20))
        seconds = time.process_time() - begun
        code = getattr(outcome, "code", type(outcome).__name__)
        results[name] = [type(outcome).__name__, code, seconds, peak() - before]
    print(json.dumps(results))


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
