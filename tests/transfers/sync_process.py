"""Syncs in a process of its own: for each line of JSON on standard input one run, answered by its counts.

python -m tests.transfers.sync_process
"""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace


def main() -> None:
    """Run one sync after the other until there are no more lines."""
    # What Airflow logs goes to standard output, too: from here on that is the standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    from airflow_provider_cc.transfers.agents_to_sql import CCAgentsToSqlOperator

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        os.environ.update(command["environment"])
        operator = CCAgentsToSqlOperator(task_id="sync", sql_conn_id="warehouse", **command["arguments"])
        task = SimpleNamespace(run_id=command["run_id"], map_index=-1)
        print(json.dumps(operator.execute({"ti": task})), file=answers, flush=True)


if __name__ == "__main__":
    main()
