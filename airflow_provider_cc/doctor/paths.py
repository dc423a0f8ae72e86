"""Read at the path of the manual and, only after a 404, once at each other spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from airflow_provider_cc.api.protocol import Call
from airflow_provider_cc.doctor.examination import Answer, CheckFailed, Examination
from airflow_provider_cc.doctor.findings import Verdict

T = TypeVar("T")


class Spelling(NamedTuple):
    """Another spelling of a path.

    :param path: the path
    :param how: how it differs
    """

    path: str
    how: str


def read_at_path(exam: Examination, check: str, call: Call[T]) -> Answer[T] | None:
    """Make a read that the session signs, and add a finding if path or session does not work.

    :param exam: the examination
    :param check: the check that the finding belongs to
    :param call: the call, at the path of the manual
    :return: the answer; ``None`` after a failure, for which a finding has been added
    :raises CheckFailed: the session is rejected and has never worked
    """
    answer, other = try_spellings(call, exam.read)
    if other is not None:
        exam.note(
            check,
            Verdict.FAIL,
            f"404 at the manual's path, but {answer.in_short} {other.how}",
            private=answer.text,
            advice="The hook's path is fixed. Send a report, and use hook.call() with that path until then.",
        )
    elif answer.status == 404:
        exam.note(
            check,
            Verdict.FAIL,
            "404 at the manual's path and at every other spelling",
            advice="Ask whether the service has been bought, and for its host and port.",
        )
    elif answer.refused:
        exam.note(
            check,
            Verdict.FAIL,
            f"{answer.in_short}, although the sign-in was accepted",
            private=answer.text,
            advice="Ask for permission to use this interface. The call is not repeated.",
        )
        if not exam.session_works:
            raise CheckFailed
    elif answer.reply is None:
        exam.note(check, Verdict.FAIL, answer.in_short, private=answer.text, advice="Try again later.")
    else:
        return answer
    return None


def try_spellings(call: Call[T], ask: Callable[[Call[T]], Answer[T]]) -> tuple[Answer[T], Spelling | None]:
    """Make a call; after a 404, repeat it once at each other spelling of the path until one exists.

    :param call: the call
    :param ask: function that makes the call
    :return: the answer, and the other spelling that worked, if any
    """
    first = ask(call)
    if first.status == 404:
        for other in spellings(call.path):
            answer = ask(msgspec.structs.replace(call, path=other.path))
            if answer.status not in (0, 404):
                return answer, other
    return first, None


def spellings(path: str) -> Iterator[Spelling]:
    """Return the other spellings of a path that pages of the documentation use.

    :param path: the manual's spelling
    """
    lower, upper = "/cc-management/", "/CC-Management/"
    if path != path.lower():
        yield Spelling(path.lower(), "in lower case")
    if lower in path:
        yield Spelling(path.replace(lower, upper), f"with {upper}")
    if upper in path and path.replace(upper, lower) != path.lower():
        yield Spelling(path.replace(upper, lower), f"with {lower}")
    if "/rest/" in path:
        yield Spelling(path.replace("/rest/", "/", 1), "without /rest")
    elif path.startswith("/apiaccess/"):
        yield Spelling(path.replace("/apiaccess/", "/apiaccess/rest/", 1), "with /rest")
