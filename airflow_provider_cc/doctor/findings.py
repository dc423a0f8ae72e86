"""The checks and their findings."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: All checks and their questions, in order.
CHECKS: Mapping[str, str] = {
    "connection": "Are the connection's fields complete and its extras valid?",
    "proxy": "Does the environment send calls through a proxy?",
    "dns": "Can the host name be resolved?",
    "tcp": "Is the port open? If not, is another common port open?",
    "tls": "Is the certificate trusted, and if not, why?",
    "unauthenticated_request": "What is the reply to a request without credentials?",
    "sign_in_path": "Does the sign-in path exist?",
    "sign_in": "Is the credential accepted? It is sent once.",
    "allow_list": "Does a rejection come from a firewall or from the contact center itself?",
    "lifetime": "How long does the session last, and is its lifetime given in seconds?",
    "tenant_space": "Is a tenant space required?",
    "token_header": "Which header carries the iSales session, and which token?",
    "guid_place": "Is the config Guid in the body, in the header, or in both?",
    "config_read": "Does a configuration interface accept the Guid?",
    "account_path": "Is the account query at the path of the manual?",
    "login_params_path": "Is the query of login parameters at the path of the manual?",
    "directory_path": "Is the directory at the path of the manual?",
    "page_size": "Is a page of 100 accepted?",
    "total": "Does the directory return its total?",
    "page_numbers": "Do page numbers start at 0?",
    "envelope": "Do replies have the keys and types of the manual?",
    "cookies": "Does a load balancer set a cookie?",
    "clock": "How far apart are the two clocks?",
}


class Verdict(enum.Enum):
    """Result of a check."""

    OK = "ok"
    WARN = "warn"  # works, but needs attention
    FAIL = "fail"
    UNKNOWN = "unknown"  # cannot be determined
    SKIPPED = "skipped"  # not run because of an earlier failure or a proxy


@dataclass(frozen=True)
class Finding:
    """Finding of one check.

    :param check: a name from :data:`CHECKS`
    :param verdict: result of the check
    :param seen: what was found; may be published
    :param private: names, addresses and texts of the contact center; not for a report
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
        """Return the finding as plain values, with the verdict as a string."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "seen": "; ".join(part for part in (self.seen, self.private) if part),
            "advice": self.advice,
            "extra": dict(self.extra),
            "fields": dict(self.fields),
        }
