"""The sign-in: what is in front of the contact center, the only sign-in, and its session."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import msgspec

from airflow_provider_cc.api.protocol import Call, Endpoint
from airflow_provider_cc.compat import mask_secret
from airflow_provider_cc.doctor.examination import Answer, Examination, RecordingClient
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.network import PORTS
from airflow_provider_cc.doctor.paths import Spelling, try_spellings
from airflow_provider_cc.exceptions import CCAuthError, CCConfigError, CCError

#: No session of the manual lasts longer, in seconds; a greater lifetime is not in seconds.
_LONGEST = 100_000


def check_unauthenticated_request(exam: Examination) -> None:
    """Request the root of the host without credentials.

    :raises CheckFailed: no reply
    """
    answer = exam.ask(_status_call("unauthenticated request", "/"), {})
    exam.unauthenticated = answer.reply
    if answer.reply is None:
        exam.fail(
            "unauthenticated_request", answer.in_short, private=answer.text, advice="See proxy, tcp and tls."
        )
    if answer.status == 403 or 300 <= answer.status < 400 or answer.status >= 500:
        exam.note(
            "unauthenticated_request",
            Verdict.WARN,
            answer.in_short,
            advice="None yet. See allow_list, which also considers the sign-in.",
        )
    else:
        exam.note("unauthenticated_request", Verdict.OK, answer.in_short)


def check_sign_in_path(exam: Examination) -> str:
    """Check without a credential whether the sign-in path exists.

    :return: the path for the sign-in
    """
    path = exam.hook._sign_in_call().path
    headers = exam.hook._headers(None)
    if path.startswith(("https://", "http://")):
        exam.note("sign_in_path", Verdict.UNKNOWN, "not checked, because extra token_url is a URL")
        return path
    answer, other = try_spellings(_status_call("sign-in path", path), lambda call: exam.ask(call, headers))
    if other is not None:
        return _note_other_path(exam, answer, other)
    if answer.reply is None:
        exam.note("sign_in_path", Verdict.UNKNOWN, answer.in_short, private=answer.text)
        return path
    if answer.status != 404:
        exam.note("sign_in_path", Verdict.OK, f"{answer.in_short} for a GET without credentials")
        return path
    settings = exam.settings
    for port in PORTS[settings.conn_type]:
        if port != settings.port and _is_at(exam, port, path):
            exam.fail(
                "sign_in_path",
                f"404 at port {settings.port}, but port {port} has the path",
                advice="Set the port.",
                fields={"port": port},
            )
    # Some servers answer 404 to an unsupported method; the sign-in itself will show.
    exam.note(
        "sign_in_path",
        Verdict.UNKNOWN,
        "404 for a GET without credentials, at every spelling and port",
        advice="If the sign-in also fails with 404, check host and port.",
    )
    return path


def _note_other_path(exam: Examination, answer: Answer[None], other: Spelling) -> str:
    if "token_url" in exam.hook.extras:
        advice, extra = "Set extra token_url.", {"token_url": other.path}
    else:
        advice, extra = "The hook's path is fixed. Send a report.", {}
    exam.note(
        "sign_in_path",
        Verdict.FAIL,
        f"404 at the path of the connection, but {answer.in_short} {other.how}",
        advice=advice,
        extra=extra,
    )
    return other.path


def _is_at(exam: Examination, port: int, path: str) -> bool:
    try:
        client = RecordingClient(replace(exam.settings, port=port))
        client.exchange(_status_call("sign-in path", path), exam.hook._headers(None))
    except CCError:
        pass
    return bool(client.replies) and client.replies[-1].status != 404


def check_sign_in(exam: Examination, path: str) -> None:
    """Send the credential once, whatever the reply is, and not at all while it is blocked.

    :param exam: the examination
    :param path: path of the sign-in
    :raises CheckFailed: there is no session
    """
    hook = exam.hook
    call = msgspec.structs.replace(hook._sign_in_call(), path=path)
    lockout, credential = hook.lockout, hook.sign_in_credential
    lockout.load()
    blocked = lockout.blocked(credential)
    if blocked is not None:
        exam.fail(
            "sign_in",
            "blocked, therefore not sent",
            private=blocked,
            advice="Fix the credential, or remove the cause and lift the block.",
        )
    answer = exam.sign_in = exam.ask(call, hook._headers(None), (exam.settings.password,))
    if answer.result is None:
        if isinstance(answer.error, CCAuthError):
            lockout.reject(credential, answer.error)
            lockout.save()
        check_allow_list(exam)
        rejected = isinstance(answer.error, CCAuthError | CCConfigError)
        exam.fail(
            "sign_in",
            f"rejected: {answer.in_short}" if rejected else answer.in_short,
            private=": ".join(part for part in (answer.code, answer.text) if part),
            advice=_advice(answer),
        )
    exam.session = answer.result
    for secret in exam.session.secrets:
        mask_secret(secret)
    exam.note("sign_in", Verdict.OK, "accepted")
    check_allow_list(exam)


def _advice(answer: Answer[Any]) -> str:
    if answer.status == 400:
        return "For a multi-tenant contact center, set extra tenant_space_id. Check login and password."
    if answer.status == 404:
        return "Check host and port and, for CC-Management, extra token_url."
    if answer.refused or isinstance(answer.error, CCAuthError):
        return (
            "See allow_list. Check login and password with the administrator before the credential "
            "is sent again: repeated rejections lock accounts."
        )
    return "It is unknown whether the credential was received. Wait before it is sent again."


def check_allow_list(exam: Examination) -> None:
    """Determine whether a 403 comes from a firewall or from the contact center.

    :param exam: the examination, after the sign-in
    """
    answer, front = exam.sign_in, exam.unauthenticated
    if answer is None or front is None:
        return
    if answer.reply is None or not answer.refused:
        exam.note("allow_list", Verdict.OK, "this machine's address is allowed")
        return
    seen = f"the sign-in got {answer.in_short}, a request without a credential {front.status} ({front.kind})"
    if front.status == 403 and "JSON" not in (front.kind, answer.reply.kind):
        exam.note(
            "allow_list",
            Verdict.FAIL,
            f"{seen}: a firewall answers, so the credential was not checked",
            advice="Ask to add this machine's outgoing address to the contact center's allow list.",
        )
    elif front.status != 403 and answer.reply.kind == "JSON":
        exam.note("allow_list", Verdict.OK, f"{seen}: the contact center itself rejected the credential")
    else:
        exam.note(
            "allow_list",
            Verdict.UNKNOWN,
            f"{seen}: the cause may be the firewall or the credential",
            advice="Ask the administrator about both.",
        )


def check_lifetime(exam: Examination, asked: int | None = None) -> None:
    """Compare the granted lifetime with the requested one, and check whether it is in seconds.

    :param exam: the examination
    :param asked: requested lifetime in seconds; ``None`` if it cannot be requested
    """
    granted = exam.session.lifetime if exam.session is not None else None
    created = _creation(exam)
    if granted is None:
        exam.note("lifetime", Verdict.UNKNOWN, "not in the reply" + created)
    elif granted > _LONGEST:
        exam.note(
            "lifetime",
            Verdict.WARN,
            f"{granted:g}, which cannot be seconds" + (f"; {asked} requested" if asked else "") + created,
            advice=(
                "The hook assumes seconds, keeps the session until a call is rejected, and then signs "
                "in again. Send a report."
            ),
        )
    elif asked is not None and granted < asked:
        exam.note(
            "lifetime",
            Verdict.WARN,
            f"{granted:g} s granted, {asked} s requested{created}",
            advice="No change needed. The extra requests what is granted.",
            extra={"token_lifetime": int(granted)},
        )
    else:
        told = f"{granted:g} s" + (f" of {asked} s requested" if asked else "")
        exam.note("lifetime", Verdict.OK, told + created)


class _Created(msgspec.Struct):
    at: int | str = msgspec.field(name="CreateTime")


def _creation(exam: Examination) -> str:
    """Compare a token's ``CreateTime``, if any, with this machine's clock."""
    body = exam.client.last.body if exam.client.last is not None else b""
    try:
        apart = float(msgspec.json.decode(body, type=_Created).at) - time.time()
    except (msgspec.MsgspecError, ValueError, UnicodeError):
        return ""
    return (
        f"; CreateTime differs by {apart:+.0f} s"
        if abs(apart) < _LONGEST
        else "; CreateTime is not in seconds"
    )


def _status_call(name: str, path: str) -> Call[None]:
    """Return a call of which only the reply's status matters."""
    return Call(Endpoint(name, "GET", path, None, codes=()), None, lambda *_: None, path)
