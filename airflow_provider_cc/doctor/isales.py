"""CC-iSales: which header carries the session, and which of the two tokens."""

from __future__ import annotations

from typing import Any

from airflow_provider_cc.api import isales as api
from airflow_provider_cc.doctor.examination import Answer, Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.hooks.isales import HEADERS, KINDS

#: "Obtaining Interface Information": returns paths and changes nothing.
_READ, _BODY = "business/interface", {"version": "1.0"}


def check_header(exam: Examination) -> None:
    """Read with the configured header and token; if rejected, once with each other combination.

    The session is new, and a read is not a sign-in, so this cannot lock an account.
    """
    extra = exam.settings.extra
    configured = (extra.get("token_header") or HEADERS[0], extra.get("token_kind") or KINDS[0])
    first = _read(exam, *configured)
    if not first.refused:
        _note(exam, first, configured, {})
        return
    for header, kind in ((header, kind) for kind in KINDS for header in HEADERS):
        if (header, kind) != configured:
            answer = _read(exam, header, kind)
            if not answer.refused:
                _note(exam, answer, configured, {"token_header": header, "token_kind": kind})
                return
    exam.note(
        "token_header",
        Verdict.FAIL,
        f"{first.in_short} with either header and either token",
        private=first.text,
        advice="Ask whether this user may call interfaces.",
    )


def _read(exam: Examination, header: str, kind: str) -> Answer[dict[str, object]]:
    session = exam.session
    token = None if session is None else session.refresh_token if kind == "refreshToken" else session.token
    return exam.read(api.any_isales_call("POST", _READ, _BODY), api.headers(token, header))


def _note(exam: Examination, answer: Answer[Any], configured: tuple[str, str], extra: dict[str, str]) -> None:
    header, kind = extra.values() if extra else configured
    seen = f"{answer.in_short} with {kind} in {header}"
    if answer.status != 200:
        exam.note(
            "token_header",
            Verdict.UNKNOWN,
            f"{seen}: neither rejected nor confirmed",
            private=answer.text,
            advice="Call an interface that you use: hook.call(path).",
        )
    elif extra:
        advice = "Set extras token_header and token_kind."
        exam.note(
            "token_header",
            Verdict.FAIL,
            f"{seen}; rejected with the connection's settings",
            advice=advice,
            extra=extra,
        )
    else:
        exam.note("token_header", Verdict.OK, seen)
