"""One measurement in a process of its own: `python -m benchmarks.client NAME OPTIONS-AS-JSON`.

Prints a line of JSON: wall-clock seconds, CPU seconds (user and system, imports excluded) and, at the end,
the process's peak memory.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(name: str, options: dict[str, Any]) -> None:
    """Run a measurement and print its figures."""
    logging.disable(logging.WARNING)
    from benchmarks import variants

    prepare: Callable[..., Callable[[], dict[str, Any] | None]] = getattr(variants, name)
    work = prepare(**options)
    cpu, begun = _cpu(), time.perf_counter()
    extra = work() or {}
    figures = {
        "seconds": time.perf_counter() - begun,
        "cpu": _cpu() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **extra,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
