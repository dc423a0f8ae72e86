"""What all replies together show: their keys, the centre's clock, a load balancer's cookies."""

from __future__ import annotations

from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.doctor.replies import Heard

#: Seconds that two clocks may differ by without a word.
_APART = 60.0
_CODE = {"string", "number"}
_NUMBER = {"string", "number", "null"}
_TEXT = {"string", "number", "null"}

#: What the hooks read of each successful reply: path of the key → types that they can read.
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
    """Compare the keys of the first good reply of each interface, and their types, with what is read."""
    compared: dict[str, list[str]] = {}
    for heard in exam.heard:
        if heard.status == 200 and heard.endpoint in READ and heard.endpoint not in compared:
            compared[heard.endpoint] = _differences(heard)
    if not compared:
        return
    odd = {endpoint: differences for endpoint, differences in compared.items() if differences}
    if odd:
        seen = "; ".join(f"{endpoint}: {', '.join(differences)}" for endpoint, differences in odd.items())
        advice = "What is missing stays empty in the tables. Send a report."
        exam.note("envelope", Verdict.WARN, seen, advice=advice)
    else:
        exam.note("envelope", Verdict.OK, f"as in the manual: {', '.join(compared)}")


def _differences(heard: Heard) -> list[str]:
    found = [f"nested in {heard.wrapper}"] if heard.wrapper else []
    if heard.kind != "JSON":
        return [f"{heard.kind} instead of JSON"]
    for path, types in READ[heard.endpoint].items():
        parent = path.rpartition(".")[0]
        if parent.removesuffix("[]") and not any(key.startswith(f"{parent}.") for key in heard.keys):
            continue  # the list is empty, or the object itself is missing and named already
        kinds = heard.keys.get(path)
        if kinds is None:
            found.append(f"no {path}")
        elif not set(kinds.split("/")) <= types:
            found.append(f"{path} is {kinds}")
    return found


def check_cookies(exam: Examination) -> None:
    """Name the cookies that were set; both clients send them back."""
    if not exam.heard:
        return
    names = sorted({cookie.name for cookie in exam.ear.session.cookies})
    told = f"{len(names)} set and sent back, as after every first reply" if names else "none"
    exam.note("cookies", Verdict.OK, told, private=", ".join(names))


def check_clock(exam: Examination) -> None:
    """Compare the ``Date`` of the replies with this machine's clock."""
    ahead = [heard.ahead for heard in exam.heard if heard.ahead is not None]
    if not exam.heard:
        return
    if not ahead:
        exam.note("clock", Verdict.UNKNOWN, "no reply has a Date")
        return
    # The header knows whole seconds only, and some replies took a while: the median.
    apart = sorted(ahead)[len(ahead) // 2]
    seen = f"the centre's clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > _APART:
        advice = "Sessions are measured from here and do not mind, certificates and logs do: set the clock."
        exam.note("clock", Verdict.WARN, seen, advice=advice)
    else:
        exam.note("clock", Verdict.OK, seen)
