"""What can be said of a connection before anything is sent."""

from __future__ import annotations

from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.exceptions import CCConfigError


def check_connection(exam: Examination) -> None:
    """Read the connection as the hook does, down to the headers that it would make.

    :raises Over: it cannot serve a sign-in
    """
    hook = exam.hook
    try:
        settings = hook.settings
        settings.require({"host": hook._label("host"), **hook.credentials}, "signing in")
        hook._sign_in_call()
        hook._headers(Session("a-token", refresh_token="another"))  # noqa: S106 - only to see whether it can
    except (CCConfigError, ValueError) as error:
        text = str(error)
        exam.fail(
            "connection",
            "fields or extras are missing or make no sense",
            private=text,
            advice="Change what is named.",
        )
    unused = sorted(set(settings.extra) - set(hook._entry()["conn-fields"]))
    if unused:
        exam.note(
            "connection",
            Verdict.WARN,
            f"complete, with {len(unused)} extra(s) that nobody reads",
            private=", ".join(unused),
            advice="Look for typing errors in their names.",
        )
    else:
        exam.note("connection", Verdict.OK, "complete")
    exam.begin()
