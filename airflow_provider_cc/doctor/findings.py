"""What is checked, and what a check has found."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Every check and the question it answers, in the order in which they are made.
CHECKS: Mapping[str, str] = {
    "connection": "Are the connection's fields complete, and do its extras make sense?",
    "proxy": "Does the environment send calls through a proxy?",
    "dns": "Is the host's name known here?",
    "tcp": "Does somebody listen at the port?",
    "tls": "Is the certificate trusted, and if not, why?",
    "front_door": "What is a request without any credential answered?",
    "sign_in_path": "Is the path of the sign-in there?",
    "sign_in": "Is the credential accepted? It is sent once.",
    "allow_list": "Is a refusal that of a firewall, or that of the centre itself?",
    "lifetime": "How long does the session live, and is that told in seconds?",
    "tenant_space": "Is a tenant space asked for?",
    "token_header": "Which header carries the iSales session, and which token goes in?",
    "guid_place": "Does the config Guid come in the body, the header, or both?",
    "config_read": "Does a configuration interface accept the Guid?",
    "account_path": "Does the account query answer where the manual puts it?",
    "login_params_path": "Does the query of login parameters?",
    "directory_path": "Does the directory?",
    "page_size": "Is a page of 100 accepted?",
    "total": "Does the directory say how long it is?",
    "page_numbers": "Do its pages count from 0?",
    "envelope": "Have the replies the manual's keys, of its types?",
    "cookies": "Does a load balancer want a cookie back?",
    "clock": "How far apart are the two clocks?",
}


class Verdict(enum.Enum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"  # works, but look at it
    FAIL = "fail"
    UNKNOWN = "unknown"  # cannot be told
    SKIPPED = "skipped"  # an earlier failure, or a proxy, is in the way


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    :param check: a name from :data:`CHECKS`
    :param verdict: how it went
    :param seen: what was seen, in words that may be shown to anybody
    :param private: what was seen besides: names, addresses, texts of the centre; not for a report
    :param advice: what to do, if anything
    :param extra: extras to set in the connection
    :param fields: fields to change in it
    """

    check: str
    verdict: Verdict
    seen: str
    private: str = field(default="", repr=False)
    advice: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, the verdict as a text."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "seen": "; ".join(part for part in (self.seen, self.private) if part),
            "advice": self.advice,
            "extra": dict(self.extra),
            "fields": dict(self.fields),
        }
