"""The findings as Markdown for an issue: keys, types, codes and versions, but no names."""

from __future__ import annotations

import platform
import re
import ssl
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Finding
from airflow_provider_cc.doctor.replies import RecordedReply
from airflow_provider_cc.doctor.table import suggested

_PACKAGES = ("airflow-provider-cc", "apache-airflow", "requests", "urllib3", "cryptography")
#: Extras whose values may be published: terms of the documentation, or numbers.
_PLAIN = ("token_header", "token_kind", "token_lifetime", "token_url")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,}")


def report(findings: Sequence[Finding], exam: Examination | None) -> str:
    """Return the report, which may be published.

    :param findings: all of them
    :param exam: the examination; ``None`` for an agent's connection
    """
    text = "\n".join(_lines(findings, exam)) + "\n"
    # The findings contain none of these. Replace them nevertheless, to be safe.
    for secret in sorted(_names(exam), key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", "…", text)
    return _ADDRESS.sub("…", text)


def _names(exam: Examination | None) -> set[str]:
    if exam is None or "settings" not in vars(exam.hook):
        return set()
    settings = exam.settings
    session = exam.session.secrets if exam.session is not None else ()
    hidden = [str(value) for name, value in settings.extra.items() if name not in _PLAIN]
    words = {settings.conn_id, settings.host, settings.password, *session, *hidden}
    if not settings.login.isdecimal() or len(settings.login) > 3:  # else it may be a status
        words.add(settings.login)
    return {word for word in words if len(word) > 2 and word.lower() not in ("true", "false")}


def _lines(findings: Sequence[Finding], exam: Examination | None) -> Iterator[str]:
    yield "# Connection check"
    yield ""
    yield from (f"- {package} {version(package)}" for package in _PACKAGES)
    yield f"- Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    yield f"- connection of type {exam.hook.conn_type if exam is not None else 'cc_agent'}"
    yield ""
    yield "| check | verdict | seen |"
    yield "|---|---|---|"
    yield from (f"| {one.check} | {one.verdict.value} | {_cell(one.seen)} |" for one in findings)
    extras, fields = suggested(findings)
    shown = {name: value if name in _PLAIN else "…" for name, value in extras.items()}
    if shown or fields:
        yield ""
        yield "Suggested: " + ", ".join(
            f"`{name}` = `{value}`" for name, value in {**fields, **shown}.items()
        )
    if exam is not None and exam.replies:
        yield ""
        yield "## Replies"
        for reply in exam.replies:
            yield from _reply(reply)


def _reply(reply: RecordedReply) -> Iterator[str]:
    yield ""
    nested = f", nested in {reply.wrapper}" if reply.wrapper else ""
    yield f"- {reply.endpoint}, {reply.method}: {reply.status}, {reply.kind} of {reply.size} bytes{nested}"
    if reply.keys:
        yield ""
        yield "  | key | type |"
        yield "  |---|---|"
        yield from (f"  | `{_cell(path)}` | {kinds} |" for path, kinds in reply.keys.items())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
