"""One run of the connection check: the connection, its calls and the findings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from airflow_provider_cc.api.protocol import Call, Reply, Session, understand
from airflow_provider_cc.doctor.findings import Finding, Verdict
from airflow_provider_cc.doctor.replies import RecordedReply, record
from airflow_provider_cc.exceptions import CCBusinessError, CCError
from airflow_provider_cc.hooks.base import CCHook
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.transport import BlockingClient

T = TypeVar("T")


class CheckFailed(Exception):
    """A check failed that all later checks need."""


class RecordingClient(BlockingClient):
    """Sends as the hook does, but without retries, and records the replies.

    :param settings: the connection
    """

    def __init__(self, settings: CCSettings) -> None:
        super().__init__(settings)
        self.replies: list[RecordedReply] = []
        self.last: Reply | None = None

    def exchange(self, call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> T:
        """Make a call once.

        :param call: the call
        :param headers: headers that sign it
        :param secrets: the secrets in those headers
        """
        self.last, begun = None, time.time()
        request = call.request
        self.last = self.send(request.signed(headers))
        self.replies.append(record(call, self.last, (begun + time.time()) / 2))
        return understand(call, self.last, secrets)


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The result of a call.

    :param reply: the reply, if any
    :param result: the value that the hook would have returned
    :param error: the exception that it would have raised
    """

    reply: RecordedReply | None
    result: T | None
    error: CCError | None

    @property
    def status(self) -> int:
        """HTTP status; 0 without a reply."""
        return self.reply.status if self.reply is not None else 0

    @property
    def refused(self) -> bool:
        """Whether the status is 401 or 403; such a call is not repeated."""
        return self.status in (401, 403)

    @property
    def in_short(self) -> str:
        """Status and kind of body, or the reason why there is no reply."""
        if self.reply is not None:
            return f"{self.reply.status} with {_BODY[self.reply.kind]}"
        return f"no reply ({self.code or type(self.error).__name__})"

    @property
    def code(self) -> str:
        """The code of the failure; "" without one."""
        return str(getattr(self.error, "code", ""))

    @property
    def text(self) -> str:
        """Text of the contact center or network about the failure; not for a report."""
        return str(getattr(self.error, "text", self.error or ""))


_BODY = {"JSON": "JSON", "HTML": "an HTML page", "empty": "an empty body", "other": "a body that is not JSON"}


class Examination:
    """Findings so far, and the results that later checks need.

    :param hook: the hook of the connection
    :param save_ca: file for the certificate to trust, or ``None``
    """

    def __init__(self, hook: CCHook, save_ca: Path | None = None) -> None:
        self.hook = hook
        self.save_ca = save_ca
        self.saved = ""  # fingerprint of the saved certificate
        self.findings: list[Finding] = []
        self.unauthenticated: RecordedReply | None = None
        self.sign_in: Answer[Session] | None = None
        self.session: Session | None = None
        self.session_works = False

    @property
    def settings(self) -> CCSettings:
        """The connection."""
        return self.hook.settings

    @property
    def replies(self) -> list[RecordedReply]:
        """All replies so far."""
        client = vars(self).get("client")
        return client.replies if isinstance(client, RecordingClient) else []

    def begin(self) -> None:
        """Create the client for a complete connection."""
        self.client = RecordingClient(self.settings)

    def note(self, check: str, verdict: Verdict, seen: str, **more: Any) -> None:
        """Add a finding; the arguments are those of :class:`Finding`."""
        self.findings.append(Finding(check, verdict, seen, **more))

    def fail(self, check: str, seen: str, **more: Any) -> NoReturn:
        """Add a failure and end the checks.

        :raises CheckFailed: always
        """
        self.note(check, Verdict.FAIL, seen, **more)
        raise CheckFailed

    def ask(self, call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> Answer[T]:
        """Make a call once.

        :param call: the call
        :param headers: headers that sign it
        :param secrets: the secrets in those headers
        """
        result, error = None, None
        try:
            result = self.client.exchange(call, headers, secrets)
        except CCError as failure:
            error = failure
        return Answer(self.client.replies[-1] if self.client.last is not None else None, result, error)

    def read(self, call: Call[T], headers: Mapping[str, str] | None = None) -> Answer[T]:
        """Make a call that the session signs.

        :param call: the call, which must not change anything
        :param headers: headers that sign it; by default, those of the hook
        """
        session = self.session
        if session is None:
            raise CheckFailed
        secrets = (*session.secrets, self.settings.password)
        answer = self.ask(call, headers or self.hook._headers(session), secrets)
        declined = isinstance(answer.error, CCBusinessError) and answer.error.status is None
        self.session_works = self.session_works or answer.error is None or declined
        return answer
