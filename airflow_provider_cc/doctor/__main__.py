"""Check a connection against its contact center: `python -m airflow_provider_cc.doctor --help`."""

from __future__ import annotations

import argparse
import os

from airflow_provider_cc.doctor.command import ARGUMENTS, HELP, WrongUsage, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_cc.doctor", description=HELP)
    for name, options in ARGUMENTS.items():
        parser.add_argument(name, **options)
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    try:
        raise SystemExit(run(parser.parse_args()))
    except WrongUsage as error:
        parser.error(str(error))
