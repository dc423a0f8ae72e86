"""Run Airflow commands one after the other in one process: Airflow's start takes longer than most of them.

Each line of the standard input is a JSON object with the arguments of a command and the environment variables
that it finds. Each answer is a line with its exit code; what the commands print goes to the standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from airflow.cli.cli_parser import get_parser

    for line in sys.stdin:
        command = json.loads(line)
        os.environ.clear()
        os.environ.update(command["environment"])
        code: object = 0
        try:
            arguments = get_parser().parse_args(command["arguments"])
            arguments.func(arguments)
        except SystemExit as ended:
            code = ended.code or 0
            print(code, file=sys.stderr)
        except Exception:
            traceback.print_exc()
            code = 1
        print(code if isinstance(code, int) else 1, file=answers, flush=True)


if __name__ == "__main__":
    main()
