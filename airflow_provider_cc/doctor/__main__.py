"""Check a connection against its contact center: `python -m airflow_provider_cc.doctor --help`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks, print the table and write the report.

    :param arguments: command line; by default, that of the process
    :return: 0 if nothing failed, 1 if a check failed, 2 for wrong usage
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.save_ca is not None and (options.save_ca.exists() or not options.save_ca.parent.is_dir()):
        parser.error(f"--save-ca: {options.save_ca} already exists, or its folder does not")
    # Airflow logs while it is imported here; standard output is for the result only.
    with contextlib.redirect_stdout(sys.stderr):
        from airflow_provider_cc.doctor.diagnosis import NoSuchConnection, diagnose
        from airflow_provider_cc.doctor.findings import Verdict
        from airflow_provider_cc.doctor.report import report
        from airflow_provider_cc.doctor.table import table

        try:
            findings, exam = diagnose(options.conn_id, options.save_ca)
        except NoSuchConnection as error:
            parser.error(str(error))
    shown = sys.stderr if options.report == "-" else sys.stdout
    print(table(findings), file=shown)
    if exam is not None and exam.saved:
        print(f"Saved {options.save_ca}, SHA-256 {exam.saved}\n", file=shown)
    if options.report == "-":
        print(report(findings, exam))
    elif options.report is not None:
        Path(options.report).write_text(report(findings, exam))
    return int(any(finding.verdict is Verdict.FAIL for finding in findings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cc.doctor",
        description="Check a connection against its contact center: read-only, with at most one sign-in.",
    )
    parser.add_argument("conn_id", help="connection of type cc_management, cc_gateway, cc_isales or cc_agent")
    parser.add_argument(
        "--report", metavar="FILE", help="write an anonymous report for an issue; - prints it"
    )
    parser.add_argument(
        "--save-ca",
        type=Path,
        metavar="FILE",
        help="save the certificate that must be trusted, and show its fingerprint",
    )
    return parser


if __name__ == "__main__":
    # Read connections as Airflow's own commands do, also from its database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    raise SystemExit(main())
