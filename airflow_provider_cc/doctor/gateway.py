"""CC-Gateway: where the config Guid is, and whether it is accepted."""

from __future__ import annotations

from airflow_provider_cc.api import gateway as api
from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.paths import read_at_path

#: A configuration interface that only reads.
_READ = ("GET", "config/vdn/agents")


def check_guid(exam: Examination) -> None:
    """Report where the Guid of the sign-in is; the hook reads both places.

    :param exam: the examination, right after the sign-in
    """
    reply = exam.client.last
    in_body = exam.replies[-1].keys.get("result.guid") == "string"
    in_header = reply is not None and bool(reply.headers.get("Guid"))
    places = [name for name, there in (("body", in_body), ("header", in_header)) if there]
    exam.note("guid_place", Verdict.OK, " and ".join(places))


def check_configuration(exam: Examination) -> None:
    """Read a list that, as far as known, every administrator may read."""
    answer = read_at_path(exam, "config_read", api.any_gateway_call(*_READ))
    if answer is None:
        return
    if answer.error is None:
        exam.note("config_read", Verdict.OK, answer.in_short)
    else:
        accepted = "accepted" if exam.session_works else "rejected"
        exam.note(
            "config_read",
            Verdict.WARN if exam.session_works else Verdict.FAIL,
            f"{answer.in_short}, retcode {answer.code}: the Guid is {accepted}",
            private=answer.text,
            advice="Ask which configuration interfaces this administrator may use.",
        )
