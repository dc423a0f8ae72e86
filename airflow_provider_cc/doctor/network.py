"""The network: proxy, host name and port."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import os
import socket
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_cc.doctor.examination import Examination
from airflow_provider_cc.doctor.findings import Verdict
from airflow_provider_cc.hooks.connection import CCSettings

#: Ports at which, according to the documentation, a system may listen.
PORTS: dict[str, tuple[int, ...]] = {
    "cc_management": (443, 28070, 28443),
    "cc_gateway": (8043,),
    "cc_isales": (443, 28443),
}
#: Time-out for test connections, in seconds.
_PATIENCE = 10.0
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def check_proxy(exam: Examination) -> None:
    """Report which variables set a proxy, and whether calls to this host use it.

    :raises CheckFailed: the clients do not support this kind of proxy
    """
    names = [name for name in _VARIABLES if os.environ.get(name) or os.environ.get(name.lower())]
    told = f"set: {', '.join(names)}" if names else "none"
    address = proxy(exam.settings)
    if address is None:
        exam.note("proxy", Verdict.OK, f"{told}; calls go directly to the host")
        return
    parts = urlsplit(address)
    private = f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        exam.fail(
            "proxy",
            f"{told}; calls would use an unsupported kind of proxy",
            private=private,
            advice="Set the address of an http or https proxy, or add the host to NO_PROXY.",
        )
    exam.note(
        "proxy",
        Verdict.WARN,
        f"{told}; calls use a proxy",
        private=private,
        advice="If calls fail, add the host to NO_PROXY, or ask the proxy's administrator.",
    )


def check_name(exam: Examination) -> None:
    """Resolve the host's name.

    :raises CheckFailed: the name cannot be resolved
    """
    settings = exam.settings
    try:
        ipaddress.ip_address(settings.host)
    except ValueError:
        pass
    else:
        exam.note("dns", Verdict.OK, "the host is an address")
        return
    if proxy(settings) is not None:
        exam.note("dns", Verdict.SKIPPED, "the proxy resolves the name")
        return
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        exam.fail(
            "dns", "the name cannot be resolved here", advice="Check host, and this machine's name server."
        )
    addresses = sorted({str(entry[4][0]) for entry in found})
    exam.note("dns", Verdict.OK, f"{len(addresses)} address(es)", private=", ".join(addresses))


def check_port(exam: Examination) -> None:
    """Open a connection. If that fails, try the other ports of the documentation.

    :raises CheckFailed: the port is not open
    """
    settings = exam.settings
    if not can_connect(settings):
        exam.note("tcp", Verdict.SKIPPED, "not possible through a proxy that uses TLS")
        return
    try:
        connect(settings).close()
    except OSError as error:
        others = [port for port in PORTS[settings.conn_type] if port != settings.port]
        open_ports = [port for port in others if _listens(replace(settings, port=port))]
        exam.fail(
            "tcp",
            f"port {settings.port}: {_words(error)}",
            advice=(
                f"Open: {', '.join(map(str, open_ports))}. Set the port."
                if open_ports
                else "Check host and port. A firewall may drop the connection."
            ),
            fields={"port": open_ports[0]} if open_ports else {},
        )
    exam.note("tcp", Verdict.OK, f"port {settings.port} is open")


def connect(settings: CCSettings) -> socket.socket:
    """Open a connection to the contact center, through the proxy if there is one.

    :param settings: a connection for which :func:`can_connect` is true
    :raises OSError: the connection cannot be opened
    """
    timeout = min(settings.timeout, _PATIENCE)
    address = proxy(settings)
    if address is None:
        return socket.create_connection((settings.host, settings.port), timeout)
    parts = urlsplit(address)
    tunnel = http.client.HTTPConnection(str(parts.hostname), parts.port or 80, timeout=timeout)
    headers = {}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    tunnel.set_tunnel(settings.host, settings.port, headers)
    tunnel.connect()
    return tunnel.sock


def can_connect(settings: CCSettings) -> bool:
    """Return whether :func:`connect` can work: not through a proxy that uses TLS itself.

    :param settings: the connection
    """
    return not (proxy(settings) or "").startswith("https://")


def proxy(settings: CCSettings) -> str | None:
    """Return the URL of the proxy for calls, or ``None``; it may contain a password.

    :param settings: the connection
    """
    url = settings.base_url
    address: str | None = select_proxy(url, get_environ_proxies(url))
    if address is None:
        return None
    scheme, found, rest = address.rpartition("://")
    return f"{scheme.lower()}://{rest}" if found else f"http://{rest}"


def _listens(settings: CCSettings) -> bool:
    try:
        connect(settings).close()
    except OSError:
        return False
    return True


def _words(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "not reachable"
