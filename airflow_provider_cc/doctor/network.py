"""The way to the centre: proxy, name, port."""

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

#: Where the documentation says that a system may listen.
PORTS: dict[str, tuple[int, ...]] = {
    "cc_management": (443, 28070, 28443),
    "cc_gateway": (8043,),
    "cc_isales": (443, 28443),
}
#: Seconds for each connection that only looks whether somebody is there.
_PATIENCE = 10.0
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def check_proxy(exam: Examination) -> None:
    """Say which variables name a proxy, and whether it stands in the way of this host.

    :raises Over: it is of a kind that no client can use
    """
    names = [name for name in _VARIABLES if os.environ.get(name) or os.environ.get(name.lower())]
    told = f"set: {', '.join(names)}" if names else "none"
    address = proxy(exam.settings)
    if address is None:
        exam.note("proxy", Verdict.OK, f"{told}; calls go straight to the host")
        return
    parts = urlsplit(address)
    private = f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        exam.fail(
            "proxy",
            f"{told}; calls would go through a proxy of a kind that cannot be used",
            private=private,
            advice="Give the address of an http or https proxy, or put the host into NO_PROXY.",
        )
    exam.note(
        "proxy",
        Verdict.WARN,
        f"{told}; calls go through a proxy",
        private=private,
        advice="If calls fail, put the host into NO_PROXY or ask whoever runs the proxy.",
    )


def check_name(exam: Examination) -> None:
    """Resolve the host's name.

    :raises Over: nobody knows it
    """
    settings = exam.settings
    try:
        ipaddress.ip_address(settings.host)
    except ValueError:
        pass
    else:
        exam.note("dns", Verdict.OK, "the host is an address, there is no name to resolve")
        return
    if proxy(settings) is not None:
        exam.note("dns", Verdict.SKIPPED, "the proxy resolves the name")
        return
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        exam.fail("dns", "the name cannot be resolved here", advice="Compare host with what the centre says.")
    addresses = sorted({str(entry[4][0]) for entry in found})
    exam.note("dns", Verdict.OK, f"{len(addresses)} address(es)", private=", ".join(addresses))


def check_port(exam: Examination) -> None:
    """Open a connection; where that fails, look at the other ports that the documentation names.

    :raises Over: nobody listens
    """
    settings = exam.settings
    if not sees_the_centre(settings):
        exam.note("tcp", Verdict.SKIPPED, "the proxy speaks TLS itself: only whole calls go through it")
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
                f"Somebody listens at {', '.join(map(str, open_ports))}: set the port."
                if open_ports
                else "Compare host and port; a firewall on the way may drop what it does not know."
            ),
            fields={"port": open_ports[0]} if open_ports else {},
        )
    exam.note("tcp", Verdict.OK, f"port {settings.port} is open")


def connect(settings: CCSettings) -> socket.socket:
    """Open a connection to the centre, through the proxy where there is one.

    :param settings: the connection, where :func:`sees_the_centre`
    :raises OSError: it cannot be opened
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


def sees_the_centre(settings: CCSettings) -> bool:
    """Whether :func:`connect` gets there: not through a proxy that is to be spoken to by TLS.

    :param settings: the connection
    """
    return not (proxy(settings) or "").startswith("https://")


def proxy(settings: CCSettings) -> str | None:
    """Return the proxy that calls go through; it may hold a password.

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
        return "the connection is refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "it cannot be reached"
