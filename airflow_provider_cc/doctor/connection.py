"""Check the connection's fields and extras before anything is sent."""

from __future__ import annotations

from airflow_provider_cc.api.protocol import Session
from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.exceptions import CCConfigError


def check_connection(exam: Examination) -> None:
    """Read the connection as the hook does, and build the headers.

    :raises CheckFailed: the connection cannot be used for a sign-in
    """
    hook = exam.hook
    try:
        settings = hook.settings
        settings.require({"host": hook._label("host"), **hook.credentials}, "signing in")
        hook._sign_in_call()
        hook._headers(Session("a-token", refresh_token="another"))  # noqa: S106 - not a real token
    except (CCConfigError, ValueError) as error:
        text = str(error)
        exam.fail(
            "connection",
            "fields or extras are missing or invalid",
            private=text,
            advice="Correct the fields or extras named here.",
        )
    unused = sorted(set(settings.extra) - set(hook._entry()["conn-fields"]))
    if unused:
        exam.note(
            "connection",
            Verdict.WARN,
            f"complete, but {len(unused)} extra(s) are unknown",
            private=", ".join(unused),
            advice="Check the spelling of their names.",
        )
    else:
        exam.note("connection", Verdict.OK, "complete")
    exam.begin()
