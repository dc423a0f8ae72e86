"""One run of the doctor: a connection, the calls made with it, and what was found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from airflow_provider_cc.api.protocol import Call, Reply, Session, understand
from airflow_provider_cc.doctor.findings import Finding, Verdict
from airflow_provider_cc.doctor.replies import Heard, listen
from airflow_provider_cc.exceptions import CCBusinessError, CCError
from airflow_provider_cc.hooks.base import CCHook
from airflow_provider_cc.hooks.connection import CCSettings
from airflow_provider_cc.hooks.transport import BlockingClient

T = TypeVar("T")


class Over(Exception):
    """What has just failed is needed by everything that follows."""


class Ear(BlockingClient):
    """Sends as the hook does, once and without its retries, and notes what comes back.

    :param settings: the connection
    """

    def __init__(self, settings: CCSettings) -> None:
        super().__init__(settings)
        self.heard: list[Heard] = []
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
        self.heard.append(listen(call, self.last, (begun + time.time()) / 2))
        return understand(call, self.last, secrets)


@dataclass(frozen=True)
class Answer(Generic[T]):
    """How a call ended.

    :param heard: the reply, if there was one
    :param result: what the hook would have returned
    :param error: what it would have raised
    """

    heard: Heard | None
    result: T | None
    error: CCError | None

    @property
    def status(self) -> int:
        """HTTP status, 0 where no reply came."""
        return self.heard.status if self.heard is not None else 0

    @property
    def refused(self) -> bool:
        """Whether the status is one that is never asked for twice."""
        return self.status in (401, 403)

    @property
    def in_short(self) -> str:
        """Status and kind of body, or what happened on the way."""
        if self.heard is not None:
            return f"{self.heard.status} with {_BODY[self.heard.kind]}"
        return f"no reply ({self.code or type(self.error).__name__})"

    @property
    def code(self) -> str:
        """The code of the failure; "" where there was none."""
        return str(getattr(self.error, "code", ""))

    @property
    def text(self) -> str:
        """What the centre, or the network, says about the failure; not for a report."""
        return str(getattr(self.error, "text", self.error or ""))


_BODY = {"JSON": "JSON", "HTML": "an HTML page", "empty": "an empty body", "other": "a body that is no JSON"}


class Examination:
    """What a run has found so far, and what its later checks need of the earlier ones.

    :param hook: the hook of the connection
    :param save_ca: where to save the certificate to trust, if it is to be saved
    """

    def __init__(self, hook: CCHook, save_ca: Path | None = None) -> None:
        self.hook = hook
        self.save_ca = save_ca
        self.saved = ""  # fingerprint of what was saved there
        self.findings: list[Finding] = []
        self.front: Heard | None = None
        self.sign_in: Answer[Session] | None = None
        self.session: Session | None = None
        self.session_works = False

    @property
    def settings(self) -> CCSettings:
        """The connection."""
        return self.hook.settings

    @property
    def heard(self) -> list[Heard]:
        """Every reply so far."""
        ear = vars(self).get("ear")
        return ear.heard if isinstance(ear, Ear) else []

    def begin(self) -> None:
        """Make the client, once the connection is known to be complete."""
        self.ear = Ear(self.settings)

    def note(self, check: str, verdict: Verdict, seen: str, **more: Any) -> None:
        """Note a finding; the arguments are those of :class:`Finding`."""
        self.findings.append(Finding(check, verdict, seen, **more))

    def fail(self, check: str, seen: str, **more: Any) -> NoReturn:
        """Note a failure that ends the examination.

        :raises Over: always
        """
        self.note(check, Verdict.FAIL, seen, **more)
        raise Over

    def ask(self, call: Call[T], headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> Answer[T]:
        """Make a call, once, whatever comes.

        :param call: what to ask
        :param headers: what signs it
        :param secrets: the secrets in those headers
        """
        result, error = None, None
        try:
            result = self.ear.exchange(call, headers, secrets)
        except CCError as failure:
            error = failure
        return Answer(self.ear.heard[-1] if self.ear.last is not None else None, result, error)

    def read(self, call: Call[T], headers: Mapping[str, str] | None = None) -> Answer[T]:
        """Make a call that the session signs.

        :param call: what to ask; nothing that changes anything
        :param headers: what signs it, if not what the hook puts there
        """
        session = self.session
        if session is None:
            raise Over
        secrets = (*session.secrets, self.settings.password)
        answer = self.ask(call, headers or self.hook._headers(session), secrets)
        declined = isinstance(answer.error, CCBusinessError) and answer.error.status is None
        self.session_works = self.session_works or answer.error is None or declined
        return answer
