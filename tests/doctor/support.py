"""What an examination has left, and the connections that are examined."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_cc.doctor.findings import Finding

MANAGEMENT, GATEWAY, ISALES = "cc_management_default", "cc_gateway_default", "cc_isales_default"
SYSTEMS = (MANAGEMENT, GATEWAY, ISALES)
#: Interfaces that a credential is sent to.
SIGN_INS = ("tokenByAkSk", "config/login", "auth/login", "onlineagent", "forcelogin")


@dataclass(frozen=True)
class Examined:
    """An examination.

    :param findings: by check
    :param table: what a terminal shows
    :param report: what goes into an issue
    """

    findings: dict[str, Finding]
    table: str
    report: str

    def verdict(self, check: str) -> str:
        return self.findings[check].verdict.value

    def verdicts(self, *verdicts: str) -> list[str]:
        """Name the checks with one of these verdicts."""
        return [check for check, finding in self.findings.items() if finding.verdict.value in verdicts]
