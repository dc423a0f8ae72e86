"""CC-Management: its paths, and the numbers and sizes of its directory's pages."""

from __future__ import annotations

from typing import Any

from airflow_provider_cc.api import management as api
from airflow_provider_cc.api.directory import PAGE_SIZE, query_page
from airflow_provider_cc.api.management import DirectoryPage
from airflow_provider_cc.api.protocol import Call
from airflow_provider_cc.doctor.examination import Answer, Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.paths import read_at_path

#: Account that exists in no contact center, queried instead of a real one.
NOBODY = "cc-doctor-no-such-account"
_SMALLER = (50, 20, 10)


def check_tenant_space(exam: Examination) -> None:
    """Report whether a tenant space is sent; its correct value is not known here."""
    sent = bool(exam.settings.extra.get("tenant_space_id"))
    exam.note("tenant_space", Verdict.OK, f"accepted {'with' if sent else 'without'} X-TenantSpaceID")


def check_accounts(exam: Examination) -> None:
    """Query an account that does not exist, which tests path and session without reading personal data."""
    answer = read_at_path(exam, "account_path", api.query_agent_info(NOBODY))
    if answer is not None:
        _note_read(exam, "account_path", answer, "an account that does not exist")


def check_login_params(exam: Examination) -> None:
    """Send an empty body, so that no account or password is sent."""
    empty = Call(api.LOGIN_PARAMS, b"{}", lambda *_: None, api.LOGIN_PARAMS.path)
    answer = read_at_path(exam, "login_params_path", empty)
    if answer is not None:
        exam.note("login_params_path", Verdict.OK, f"{answer.in_short}, to an empty body")


def check_directory(exam: Examination) -> None:
    """Read the first page and one entry of the second, which shows page size and numbering."""
    answer = read_at_path(exam, "directory_path", query_page(0, PAGE_SIZE))
    if answer is None:
        return
    size = PAGE_SIZE
    if answer.result is None:
        size, answer = _smaller(exam, answer)
    page = answer.result
    if page is None:
        _note_read(exam, "directory_path", answer, "a page")
        return
    exam.note("directory_path", Verdict.OK, answer.in_short)
    _note_size(exam, size, page)
    if page.total is None:
        exam.note(
            "total",
            Verdict.WARN,
            "the directory returns no total",
            advice="The directory is read until an empty page.",
        )
    else:
        exam.note("total", Verdict.OK, "returned")
    _check_numbers(exam, page)


def _smaller(exam: Examination, refused: Answer[DirectoryPage]) -> tuple[int, Answer[DirectoryPage]]:
    for size in _SMALLER:
        answer = exam.read(query_page(0, size))
        if answer.result is not None:
            return size, answer
    return PAGE_SIZE, refused


def _note_size(exam: Examination, size: int, page: DirectoryPage) -> None:
    lines = len(page.agents) + len(page.unreadable)
    if page.total is not None and lines < min(size, page.total):
        size = lines
    if size < PAGE_SIZE:
        exam.note(
            "page_size",
            Verdict.WARN,
            f"a page of {PAGE_SIZE} is rejected or cut, a page of {size} works",
            advice=f"The sync adapts. The extra page_size={size} saves a request.",
        )
    elif page.total is None and lines < size:
        exam.note(
            "page_size",
            Verdict.UNKNOWN,
            f"{lines} entries for a page of {size}; the directory returns no total",
        )
    else:
        exam.note("page_size", Verdict.OK, f"{lines} entries for a page of {size}")
    if page.unreadable:
        exam.note(
            "page_size",
            Verdict.WARN,
            f"{len(page.unreadable)} entry(s) cannot be read: {page.unreadable[0][1].text}",
            advice="Send a report.",
        )


def _check_numbers(exam: Examination, page: DirectoryPage) -> None:
    if len(page.agents) < 2:
        exam.note("page_numbers", Verdict.UNKNOWN, "fewer than two entries: cannot be determined")
        return
    answer = exam.read(query_page(1, 1))
    lines = answer.result.agents if answer.result is not None else []
    if lines and lines[0].account == page.agents[1].account:
        exam.note("page_numbers", Verdict.OK, "from 0")
    elif lines and lines[0].account == page.agents[0].account:
        exam.note(
            "page_numbers",
            Verdict.WARN,
            "page 1 begins like page 0: pages count from 1, or pageNum is ignored",
            advice="The sync detects pages that count from 1, and fails if pageNum is ignored.",
        )
    else:
        exam.note("page_numbers", Verdict.UNKNOWN, f"page 1 does not continue page 0: {answer.in_short}")


def _note_read(exam: Examination, check: str, answer: Answer[Any], what: str) -> None:
    if exam.session_works:
        shown = f"code {answer.code}" if answer.code else "success"
        verdict = Verdict.OK if answer.status == 200 else Verdict.WARN
        exam.note(check, verdict, f"{answer.in_short} for {what}: {shown}", private=answer.text)
    else:
        exam.note(
            check,
            Verdict.FAIL,
            f"{answer.in_short} for {what}: {answer.code}",
            private=answer.text,
            advice="400 may mean a missing tenant_space_id, 500 a service that has not been bought.",
        )


def asked_lifetime(exam: Examination) -> int:
    """Return the lifetime that the sign-in requests, in seconds."""
    headers = exam.hook._sign_in_call().headers or {}
    return int(headers.get("X-Token-Expire", api.MAX_TOKEN_LIFETIME))
