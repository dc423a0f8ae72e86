"""Getting in: what stands before the centre, the one sign-in, and what it yields."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import msgspec

from airflow_provider_cc.api.protocol import Call, Endpoint
from airflow_provider_cc.compat import mask_secret
from airflow_provider_cc.doctor.examination import Answer, Ear, Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.network import PORTS
from airflow_provider_cc.doctor.paths import Spelling, try_spellings
from airflow_provider_cc.exceptions import CCAuthError, CCConfigError, CCError

#: No session of the manual lives longer than this, in seconds: what is told beyond it is no seconds.
_LONGEST = 100_000


def check_front_door(exam: Examination) -> None:
    """Ask for the root of the host, with no credential at all.

    :raises Over: nothing answers
    """
    answer = exam.ask(_look("front door", "/"), {})
    exam.front = answer.heard
    if answer.heard is None:
        exam.fail("front_door", answer.in_short, private=answer.text, advice="See proxy, tcp and tls above.")
    if answer.status == 403 or 300 <= answer.status < 400 or answer.status >= 500:
        exam.note(
            "front_door",
            Verdict.WARN,
            answer.in_short,
            advice="Nothing yet: it counts together with the sign-in, see allow_list.",
        )
    else:
        exam.note("front_door", Verdict.OK, answer.in_short)


def check_sign_in_path(exam: Examination) -> str:
    """Look, without a credential, whether something is at the path of the sign-in.

    :return: the path to sign in at
    """
    path = exam.hook._sign_in_call().path
    headers = exam.hook._headers(None)
    if path.startswith(("https://", "http://")):
        exam.note("sign_in_path", Verdict.UNKNOWN, "extra token_url is a whole address: not looked at")
        return path
    answer, other = try_spellings(_look("sign-in path", path), lambda call: exam.ask(call, headers))
    if other is not None:
        return _note_other_path(exam, answer, other)
    if answer.heard is None:
        exam.note("sign_in_path", Verdict.UNKNOWN, answer.in_short, private=answer.text)
        return path
    if answer.status != 404:
        exam.note("sign_in_path", Verdict.OK, f"{answer.in_short}, to a GET without a credential")
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
    # Some servers answer 404 to a method that they do not know: the sign-in itself will tell.
    exam.note(
        "sign_in_path",
        Verdict.UNKNOWN,
        "404 to a GET without a credential, at every spelling and port",
        advice="If the sign-in fails with 404 as well, compare host and port.",
    )
    return path


def _note_other_path(exam: Examination, answer: Answer[None], other: Spelling) -> str:
    if "token_url" in exam.hook.extras:
        advice, extra = "Set extra token_url.", {"token_url": other.path}
    else:
        advice, extra = "The hook's path is fixed: send a report.", {}
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
        ear = Ear(replace(exam.settings, port=port))
        ear.exchange(_look("sign-in path", path), exam.hook._headers(None))
    except CCError:
        pass
    return bool(ear.heard) and ear.heard[-1].status != 404


def check_sign_in(exam: Examination, path: str) -> None:
    """Send the credential: once, whatever the answer, and not at all while it rests.

    :param exam: the examination
    :param path: where
    :raises Over: there is no session
    """
    hook = exam.hook
    call = msgspec.structs.replace(hook._sign_in_call(), path=path)
    lockout, credential = hook.lockout, hook.sign_in_credential
    lockout.load()
    blocked = lockout.blocked(credential)
    if blocked is not None:
        exam.fail(
            "sign_in",
            "blocked, and so not sent",
            private=blocked,
            advice="Fix the credential, or lift the block once the cause is gone.",
        )
    answer = exam.sign_in = exam.ask(call, hook._headers(None), (exam.settings.password,))
    if answer.result is None:
        if isinstance(answer.error, CCAuthError):
            lockout.reject(credential, answer.error)
            lockout.save()
        check_allow_list(exam)
        refused = isinstance(answer.error, CCAuthError | CCConfigError)
        exam.fail(
            "sign_in",
            f"refused: {answer.in_short}" if refused else answer.in_short,
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
        return "If the centre is shared by tenants, set extra tenant_space_id; compare login and password."
    if answer.status == 404:
        return "Compare host and port; for CC-Management extra token_url."
    if answer.refused or isinstance(answer.error, CCAuthError):
        return (
            "See allow_list. Compare login and password with what the administrator says before the "
            "credential is sent again: repeated refusals lock accounts."
        )
    return "Nobody knows what became of the credential: wait before it is sent again."


def check_allow_list(exam: Examination) -> None:
    """Tell the 403 of a firewall from that of the centre, by who answered what.

    :param exam: the examination, after the sign-in
    """
    answer, front = exam.sign_in, exam.front
    if answer is None or front is None:
        return
    if answer.heard is None or not answer.refused:
        exam.note("allow_list", Verdict.OK, "this machine's address is let in")
        return
    seen = f"the sign-in got {answer.in_short}, a request without a credential {front.status} ({front.kind})"
    if front.status == 403 and "JSON" not in (front.kind, answer.heard.kind):
        exam.note(
            "allow_list",
            Verdict.FAIL,
            f"{seen}: a firewall answers, the credential has not been looked at",
            advice="Have this machine's outgoing address put on the centre's allow list.",
        )
    elif front.status != 403 and answer.heard.kind == "JSON":
        exam.note("allow_list", Verdict.OK, f"{seen}: the centre itself has refused the credential")
    else:
        exam.note(
            "allow_list",
            Verdict.UNKNOWN,
            f"{seen}: it may be the firewall or the credential",
            advice="Ask the administrator about both.",
        )


def check_lifetime(exam: Examination, asked: int | None = None) -> None:
    """Compare the lifetime granted with the one asked for, and see whether it can be seconds.

    :param exam: the examination
    :param asked: seconds asked for, where that can be done
    """
    granted = exam.session.lifetime if exam.session is not None else None
    created = _creation(exam)
    if granted is None:
        exam.note("lifetime", Verdict.UNKNOWN, "the reply does not say" + created)
    elif granted > _LONGEST:
        exam.note(
            "lifetime",
            Verdict.WARN,
            f"{granted:g}, which cannot be seconds"
            + (f": {asked} were asked for" if asked else "")
            + created,
            advice=(
                "The hook takes it for seconds and keeps the session until a call is refused; it then signs "
                "in again. Send a report."
            ),
        )
    elif asked is not None and granted < asked:
        exam.note(
            "lifetime",
            Verdict.WARN,
            f"{granted:g} s granted, {asked} s asked for{created}",
            advice="It works as it is; ask for what is granted.",
            extra={"token_lifetime": int(granted)},
        )
    else:
        told = f"{granted:g} s" + (f" of {asked} s asked for" if asked else "")
        exam.note("lifetime", Verdict.OK, told + created)


class _Created(msgspec.Struct):
    at: int | str = msgspec.field(name="CreateTime")


def _creation(exam: Examination) -> str:
    """Compare the ``CreateTime`` of a token, if there is one, with this machine's clock."""
    body = exam.ear.last.body if exam.ear.last is not None else b""
    try:
        apart = float(msgspec.json.decode(body, type=_Created).at) - time.time()
    except (msgspec.MsgspecError, ValueError, UnicodeError):
        return ""
    return (
        f"; CreateTime is {apart:+.0f} s from here" if abs(apart) < _LONGEST else "; CreateTime is no seconds"
    )


def _look(name: str, path: str) -> Call[None]:
    """Make a call that asks for nothing, and whose answer only its status counts of."""
    return Call(Endpoint(name, "GET", path, None, codes=()), None, lambda *_: None, path)
