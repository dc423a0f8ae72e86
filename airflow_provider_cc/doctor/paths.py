"""Reading where the manual says, and, only when nothing is there, once at each other spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from airflow_provider_cc.api.protocol import Call
from airflow_provider_cc.doctor.examination import Answer, Examination, Over
from airflow_provider_cc.doctor.findings import Verdict

T = TypeVar("T")


class Spelling(NamedTuple):
    """Another spelling of a path.

    :param path: the path
    :param how: what is different about it
    """

    path: str
    how: str


def read_at_path(exam: Examination, check: str, call: Call[T]) -> Answer[T] | None:
    """Make a read that the session signs, and note a path or a session that does not serve.

    :param exam: the examination
    :param check: the check to note it for
    :param call: what to ask, where the manual puts it
    :return: the answer; ``None`` where nothing usable came and that has been noted
    :raises Over: the session is refused before it has ever worked
    """
    answer, other = try_spellings(call, exam.read)
    if other is not None:
        exam.note(
            check,
            Verdict.FAIL,
            f"404 at the manual's path, but {answer.in_short} {other.how}",
            private=answer.text,
            advice="The hook's path is fixed: send a report. Until then hook.call() reaches that path.",
        )
    elif answer.status == 404:
        exam.note(
            check,
            Verdict.FAIL,
            "404 at the manual's path and at every other spelling",
            advice="Ask whether the service is bought, and at which host and port it is.",
        )
    elif answer.refused:
        exam.note(
            check,
            Verdict.FAIL,
            f"{answer.in_short}, although the sign-in was accepted",
            private=answer.text,
            advice="Ask for the right to this interface. It is not asked again.",
        )
        if not exam.session_works:
            raise Over
    elif answer.heard is None:
        exam.note(check, Verdict.FAIL, answer.in_short, private=answer.text, advice="Try again later.")
    else:
        return answer
    return None


def try_spellings(call: Call[T], ask: Callable[[Call[T]], Answer[T]]) -> tuple[Answer[T], Spelling | None]:
    """Make a call; on 404 make it once at each other spelling of the path, until something is there.

    :param call: what to ask
    :param ask: makes it
    :return: the answer, and the other spelling that it came from, if it did
    """
    first = ask(call)
    if first.status == 404:
        for other in spellings(call.path):
            answer = ask(msgspec.structs.replace(call, path=other.path))
            if answer.status not in (0, 404):
                return answer, other
    return first, None


def spellings(path: str) -> Iterator[Spelling]:
    """Give the other spellings of a path that the documentation's pages use among themselves.

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
