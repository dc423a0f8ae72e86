"""The checks for each type of connection, in their order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from airflow_provider_cc.compat import AirflowNotFoundException, BaseHook
from airflow_provider_cc.doctor import (
    certificates,
    gateway,
    isales,
    management,
    network,
    observations,
    sessions,
)
from airflow_provider_cc.doctor.connection import check_connection
from airflow_provider_cc.doctor.examination import CheckFailed, Examination
from airflow_provider_cc.doctor.findings import CHECKS, Finding, Verdict
from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.base import CCHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook

HOOKS: dict[str, type[CCHook]] = {
    hook.conn_type: hook for hook in (CCManagementHook, CCGatewayHook, CCISalesHook)
}
_BASIC = (
    "connection",
    "proxy",
    "dns",
    "tcp",
    "tls",
    "unauthenticated_request",
    "sign_in_path",
    "sign_in",
    "allow_list",
)
_FINAL = ("envelope", "cookies", "clock")
_DIRECTORY = ("directory_path", "page_size", "total", "page_numbers")
#: The checks of each type of connection.
CHECKS_OF: dict[str, tuple[str, ...]] = {
    "cc_management": (
        *_BASIC,
        *("lifetime", "tenant_space", "account_path", "login_params_path"),
        *_DIRECTORY,
        *_FINAL,
    ),
    "cc_gateway": (*_BASIC, "guid_place", "config_read", *_FINAL),
    "cc_isales": (*_BASIC, "lifetime", "token_header", *_FINAL),
    "cc_agent": ("connection", "sign_in"),
}


class NoSuchConnection(Exception):
    """There is no connection with that ID, or its type cannot be checked."""


def diagnose(conn_id: str, save_ca: Path | None = None) -> tuple[list[Finding], Examination | None]:
    """Check a connection by its ID.

    :param conn_id: connection of any of the four types
    :param save_ca: file for the certificate to trust, if it is not trusted yet
    :return: the findings and, except for ``cc_agent``, the examination
    :raises NoSuchConnection: the connection cannot be read or has another type
    """
    try:
        conn_type = BaseHook.get_connection(conn_id).conn_type
    except AirflowNotFoundException:
        raise NoSuchConnection(f"there is no connection {conn_id!r}") from None
    except Exception as error:
        # The text of a secrets backend may contain secrets.
        raise NoSuchConnection(f"connection {conn_id!r} cannot be read: {type(error).__name__}") from None
    if conn_type == CCAgentHook.conn_type:
        return examine_agent(CCAgentHook(conn_id)), None
    if conn_type not in HOOKS:
        raise NoSuchConnection(f"connection {conn_id!r} is of type {conn_type!r}, not {', '.join(CHECKS_OF)}")
    exam = examine(HOOKS[conn_type](conn_id), save_ca)
    return exam.findings, exam


def examine(hook: CCHook, save_ca: Path | None = None) -> Examination:
    """Run all checks of a hook's connection. Signs in at most once and changes nothing.

    :param hook: the hook; its own session is not used or changed
    :param save_ca: as for :func:`diagnose`
    """
    exam = Examination(hook, save_ca)
    with _contained(exam):
        for step in _steps(hook):
            step(exam)
    for observe in (observations.check_envelopes, observations.check_cookies, observations.check_clock):
        with _contained(exam):
            observe(exam)
    _add_skipped(exam)
    return exam


def diagnose_hook(hook: CCHook) -> list[dict[str, Any]]:
    """Check a hook's connection against its contact center, read-only, with at most one sign-in.

    :param hook: the hook; its own session is not used or changed
    :return: for each check its ``check``, ``verdict`` ("ok", "warn", "fail", "unknown", "skipped"), what was
        ``seen``, ``advice``, and the ``extra`` and ``fields`` that it suggests to set
    """
    return [finding.as_dict() for finding in examine(hook).findings]


def examine_agent(hook: CCAgentHook) -> list[Finding]:
    """Check an agent's connection without signing the agent in.

    :param hook: the hook
    """
    complete, text = hook.test_connection()
    return [
        Finding(
            "connection",
            Verdict.OK if complete else Verdict.FAIL,
            "complete" if complete else "fields are missing",
            private=text,
            advice="" if complete else "Correct the fields named here.",
        ),
        Finding("sign_in", Verdict.SKIPPED, "it could end the agent's own session"),
    ]


def _steps(hook: CCHook) -> Iterator[Callable[[Examination], object]]:
    yield check_connection
    yield network.check_proxy
    yield network.check_name
    yield network.check_port
    yield certificates.check_certificate
    yield sessions.check_unauthenticated_request
    yield lambda exam: sessions.check_sign_in(exam, sessions.check_sign_in_path(exam))
    if isinstance(hook, CCManagementHook):
        yield lambda exam: sessions.check_lifetime(exam, management.asked_lifetime(exam))
        yield management.check_tenant_space
        yield management.check_accounts
        yield management.check_login_params
        yield management.check_directory
    elif isinstance(hook, CCGatewayHook):
        yield gateway.check_guid
        yield gateway.check_configuration
    else:
        yield sessions.check_lifetime
        yield isales.check_header


@contextlib.contextmanager
def _contained(exam: Examination) -> Iterator[None]:
    """End the checks after a failure; of an unexpected exception, report the type but not the text."""
    try:
        yield
    except CheckFailed:
        pass
    except Exception as error:
        done = {finding.check for finding in exam.findings}
        check = next((name for name in CHECKS_OF[exam.hook.conn_type] if name not in done), "envelope")
        exam.note(check, Verdict.UNKNOWN, f"unexpected {type(error).__name__}", advice="Report it.")


def _add_skipped(exam: Examination) -> None:
    """Add the checks that were not reached, and sort all checks."""
    reached = {finding.check for finding in exam.findings}
    for check in CHECKS_OF[exam.hook.conn_type]:
        if check not in reached:
            exam.note(check, Verdict.SKIPPED, "not reached")
    order = list(CHECKS)
    exam.findings.sort(key=lambda finding: order.index(finding.check))
