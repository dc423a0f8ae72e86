"""Checks over all replies: keys, the contact center's clock, a load balancer's cookies."""

from __future__ import annotations

from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.replies import RecordedReply

#: Maximum difference of the two clocks without a warning, in seconds.
_APART = 60.0
_CODE = {"string", "number"}
_NUMBER = {"string", "number", "null"}
_TEXT = {"string", "number", "null"}

#: Keys that the hooks read from each successful reply, and the types that they can read.
READ: dict[str, dict[str, set[str]]] = {
    "tokenByAkSk": {"AccessToken": {"string"}, "Expires": _NUMBER},
    "queryAgentInfoByAccount": {"returnCode": _CODE, "data": {"object"}, "data.workNo": _NUMBER},
    "agentAccount/query": {
        "resultCode": _CODE,
        "total": _NUMBER,
        "data": {"array"},
        "data[].userAccount": _TEXT,
        "data[].workNo": _NUMBER,
        "data[].agentType": _NUMBER,
        "data[].sipAccount": _TEXT,
    },
    "config/login": {"retcode": _CODE},
    "config/vdn/agents": {"retcode": _CODE},
    "auth/login": {
        "result": _CODE,
        "resultData": {"object"},
        "resultData.token": {"string"},
        "resultData.tokenExpirationTime": _NUMBER,
        "resultData.refreshToken": {"string"},
        "resultData.refreshExpirationTime": _NUMBER,
    },
}


def check_envelopes(exam: Examination) -> None:
    """Compare keys and types of the first successful reply of each interface with those that hooks read."""
    compared: dict[str, list[str]] = {}
    for reply in exam.replies:
        if reply.status == 200 and reply.endpoint in READ and reply.endpoint not in compared:
            compared[reply.endpoint] = _differences(reply)
    if not compared:
        return
    odd = {endpoint: differences for endpoint, differences in compared.items() if differences}
    if odd:
        seen = "; ".join(f"{endpoint}: {', '.join(differences)}" for endpoint, differences in odd.items())
        advice = "Missing values stay empty in the tables. Send a report."
        exam.note("envelope", Verdict.WARN, seen, advice=advice)
    else:
        exam.note("envelope", Verdict.OK, f"as in the manual: {', '.join(compared)}")


def _differences(reply: RecordedReply) -> list[str]:
    found = [f"nested in {reply.wrapper}"] if reply.wrapper else []
    if reply.kind != "JSON":
        return [f"{reply.kind} instead of JSON"]
    for path, types in READ[reply.endpoint].items():
        parent = path.rpartition(".")[0]
        if parent.removesuffix("[]") and not any(key.startswith(f"{parent}.") for key in reply.keys):
            continue  # the list is empty, or the object itself is already reported as missing
        kinds = reply.keys.get(path)
        if kinds is None:
            found.append(f"no {path}")
        elif not set(kinds.split("/")) <= types:
            found.append(f"{path} is {kinds}")
    return found


def check_cookies(exam: Examination) -> None:
    """Report the cookies; both clients send them back."""
    if not exam.replies:
        return
    names = sorted({cookie.name for cookie in exam.client.session.cookies})
    told = f"{len(names)} set and sent back" if names else "none"
    exam.note("cookies", Verdict.OK, told, private=", ".join(names))


def check_clock(exam: Examination) -> None:
    """Compare the ``Date`` of the replies with this machine's clock."""
    ahead = [reply.ahead for reply in exam.replies if reply.ahead is not None]
    if not exam.replies:
        return
    if not ahead:
        exam.note("clock", Verdict.UNKNOWN, "no reply has a Date")
        return
    # The header has whole seconds only, and some replies took longer, so use the median.
    apart = sorted(ahead)[len(ahead) // 2]
    seen = f"the contact center's clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > _APART:
        advice = "Certificates and logs are affected, sessions are not. Set the clock."
        exam.note("clock", Verdict.WARN, seen, advice=advice)
    else:
        exam.note("clock", Verdict.OK, seen)
