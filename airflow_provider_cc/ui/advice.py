"""What to do about rejected accounts, by the code of the reject."""

from __future__ import annotations

from airflow_provider_cc.exceptions import ErrorCode

_BUSY = "The contact center was busy. Lower max_concurrency or requests_per_second of the connection."
_NETWORK = "Check Host and Port of the connection, the proxy and the firewall."
_REPORT = "The contact center's release differs from the manual. Report it, with the message in the table."

#: Code → advice in a sentence or two; docs/troubleshooting.md has the rest.
ADVICE: dict[str, str] = {
    ErrorCode.AMBIGUOUS: "The directory lists the account with different values. Correct it there.",
    ErrorCode.BAD_CODE: "The source has account codes that cannot be queried. Clean up the source.",
    ErrorCode.BAD_PASSWORD: "The configured password is empty or too long. Correct it.",
    ErrorCode.BLOCKED: "The password was rejected before. Correct it, and it is sent at once.",
    ErrorCode.CANNOT_HOLD: "The database cannot store a value. Widen the column, or use UTF-8.",
    ErrorCode.CONNECT: _NETWORK,
    ErrorCode.DNS: "Check Host of the connection and the worker's name server.",
    ErrorCode.FILTER_IGNORED: _REPORT,
    ErrorCode.INCOMPLETE: "The directory changes while it is read. Run the task again.",
    ErrorCode.MISSING_CODE: _REPORT,
    ErrorCode.NO_AGENT: "The account does not exist or has no agent ID. If intended, no action is needed.",
    ErrorCode.NO_PASSWORD: "No password is configured for the account. Add it.",
    ErrorCode.NO_SESSION: _REPORT,
    ErrorCode.NOT_HTTP: "Check Schema and Port of the connection.",
    ErrorCode.NOT_JSON: "Often the page of a firewall or sign-in portal. Check Host and the proxy.",
    ErrorCode.NOT_READABLE: "Proxies or firewalls damage replies. Check them.",
    ErrorCode.REPEATED_PAGE: _REPORT,
    ErrorCode.RESET: "The connection broke. If that is frequent, check firewalls and load balancers.",
    ErrorCode.SESSION_LAPSED: "Sessions lapse early. Run the task again.",
    ErrorCode.TIMEOUT: "Raise timeout of the connection, or lower max_concurrency.",
    ErrorCode.TLS: "Check Schema and Port of the connection.",
    ErrorCode.TOO_LONG: "Check Host and Port of the connection.",
    ErrorCode.UNEXPECTED_FORMAT: _REPORT,
    "HTTP 401": "Ask the contact center to unblock the account.",
    "HTTP 403": "Ask the contact center to allow the interface for the app key.",
    "HTTP 404": _NETWORK,
    "HTTP 408": _BUSY,
    "HTTP 418": _BUSY,
    "HTTP 429": _BUSY,
    "HTTP 502": _BUSY,
    "HTTP 503": _BUSY,
    "HTTP 504": _BUSY,
}

_OTHER = "The contact center's own code: the reject table has its message."


def advice(reason: str) -> str:
    """Return what to do about a reason.

    :param reason: ``endpoint: code``
    """
    return ADVICE.get(reason.partition(": ")[2], _OTHER)
