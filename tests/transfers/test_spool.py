"""The accounts of a run: on disk, not in memory, and gone however the task ends."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

# SQLite looks for its temporary folder once, so that it takes a process of its own.
SPOOL = """
import json, os
from pathlib import Path
from airflow_provider_cc.sync.spool import Spool
with Spool() as spool:
    assert spool.add(f"account{number:055}" for number in range(100_000)) == 100_000
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    opened = [link.stat() for link in links if os.environ["SQLITE_TMPDIR"] in os.readlink(link)]
    print(json.dumps([(found.st_nlink, found.st_mode, found.st_size) for found in opened]))
    print(os.listdir(os.environ["SQLITE_TMPDIR"]), flush=True)
"""


def test_it_is_on_disk_for_its_user_alone_and_in_no_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "SQLITE_TMPDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", SPOOL], env=environment, stdout=subprocess.PIPE, check=True)
    opened, folder = run.stdout.splitlines()

    ((links, mode, size),) = json.loads(opened)
    assert size > 5_000_000
    assert stat.S_IMODE(mode) & 0o077 == 0
    assert (links, folder) == (0, b"[]")
