"""The command, for Python and for Airflow: its arguments, what it prints, and its exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

HELP = "Check a connection against its contact center: read-only, with at most one sign-in."
#: Name → definition of the argument, for argparse and Airflow.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "conn_id": {"help": "connection of type cc_management, cc_gateway, cc_isales or cc_agent"},
    "--report": {"metavar": "FILE", "help": "write an anonymous report for an issue; - prints it"},
    "--save-ca": {
        "type": Path,
        "metavar": "FILE",
        "help": "save the certificate that must be trusted, and show its fingerprint",
    },
}


class WrongUsage(Exception):
    """The arguments are invalid."""


def run(options: argparse.Namespace) -> int:
    """Run the checks, print the table and write the report.

    :param options: values of the arguments
    :return: 0 if nothing failed, 1 if a check failed
    :raises WrongUsage: there is no such connection, or the file for the certificate cannot be created
    """
    if options.save_ca is not None and (options.save_ca.exists() or not options.save_ca.parent.is_dir()):
        raise WrongUsage(f"--save-ca: {options.save_ca} already exists, or its folder does not")
    # Read connections as Airflow's own commands do, including from its database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    # Airflow logs while it is imported here; standard output is for the result only.
    with contextlib.redirect_stdout(sys.stderr):
        from airflow_provider_cc.doctor.diagnosis import NoSuchConnection, diagnose
        from airflow_provider_cc.doctor.findings import Verdict
        from airflow_provider_cc.doctor.report import report
        from airflow_provider_cc.doctor.table import table

        try:
            findings, exam = diagnose(options.conn_id, options.save_ca)
        except NoSuchConnection as error:
            raise WrongUsage(str(error)) from None
    shown = sys.stderr if options.report == "-" else sys.stdout
    print(table(findings), file=shown)
    if exam is not None and exam.saved:
        print(f"Saved {options.save_ca}, SHA-256 {exam.saved}\n", file=shown)
    if options.report == "-":
        print(report(findings, exam))
    elif options.report is not None:
        Path(options.report).write_text(report(findings, exam))
    return int(any(finding.verdict is Verdict.FAIL for finding in findings))


def airflow_commands() -> list[Any]:
    """Return the command ``airflow cc doctor``; Airflow calls this whenever any of its commands starts."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    doctor = ActionCommand(
        name="doctor",
        help=HELP,
        func=_run_in_airflow,
        args=[Arg(flags=(name,), **options) for name, options in ARGUMENTS.items()],  # type: ignore[no-untyped-call]
    )
    return [GroupCommand(name="cc", help="Work with cloud contact centers (CC)", subcommands=[doctor])]


def _run_in_airflow(options: argparse.Namespace) -> None:
    """Run, and end the process, because Airflow ignores the return value of a command."""
    try:
        code = run(options)
    except WrongUsage as error:
        print(f"airflow cc doctor: error: {error}", file=sys.stderr)
        code = 2
    raise SystemExit(code)
