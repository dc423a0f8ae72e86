"""The settings of an Airflow connection, read once and checked."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import certifi

from airflow_provider_cc.api.secret import Unpicklable
from airflow_provider_cc.api.text import printable
from airflow_provider_cc.compat import Connection
from airflow_provider_cc.exceptions import CCConfigError

log = logging.getLogger(__name__)

_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n"), False),
}


@dataclass(frozen=True)
class CCSettings(Unpicklable):
    """A connection's fields, with extras of the right types whether they came from a form, a URI or JSON.

    :param conn_id: connection ID
    :param conn_type: connection type
    :param host: domain name or address
    :param port: port
    :param schema: ``https`` or ``http``
    :param login: app key, administrator ID, user or account
    :param password: its secret or password
    :param extra: all extras, unchanged
    :param verify: verify the server's certificate: true, the path of a CA bundle, or false
    :param server_name: name that the certificate is issued to, if it is not the host
    :param client_cert: path of a PEM file with this client's certificate and private key
    :param timeout: seconds to wait for a connection, and for each reply
    :param max_concurrency: maximum number of requests in flight in bulk calls
    :param requests_per_second: limit for bulk calls; ``None`` for no limit
    :param share_session: let other tasks use the session
    """

    conn_id: str
    conn_type: str
    host: str
    port: int
    schema: str
    login: str
    password: str = field(repr=False)
    extra: dict[str, Any] = field(repr=False)
    verify: bool | str = True
    server_name: str | None = None
    client_cert: str | None = None
    timeout: float = 30.0
    max_concurrency: int = 32
    requests_per_second: float | None = None
    share_session: bool = False

    @property
    def base_url(self) -> str:
        """Schema, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.schema}://{host}:{self.port}"

    def part(self, number: int, of: int) -> CCSettings:
        """Return the settings for one of several tasks that use the connection at the same time.

        Rate and concurrency apply to the contact center, so each task gets a share of them, but at least one
        request at a time.

        :param number: number of the task, from 0
        :param of: number of tasks
        """
        rate = self.requests_per_second
        return replace(
            self,
            max_concurrency=max(1, (self.max_concurrency + number) // of),
            requests_per_second=None if rate is None else rate / of,
        )

    def url(self, path: str) -> str:
        """Return the URL of a path; a URL is returned unchanged.

        :param path: path from the host's root
        :raises CCConfigError: a URL that would send unencrypted what this connection encrypts
        """
        if path.startswith("/"):
            return self.base_url + path
        if path.startswith("https://") or (path.startswith("http://") and self._may_be_plain(path)):
            return path
        raise CCConfigError(
            f"connection {self.conn_id!r}: extra token_url must be a path that begins with / or an https "
            "URL; http is allowed only if schema is http"
        )

    def _may_be_plain(self, address: str) -> bool:
        try:
            host = urlsplit(address).hostname or ""
            is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_here = False
        return is_here or self.schema == "http"

    def require(self, needed: dict[str, str], why: str) -> None:
        """Raise an error that names every required field that is empty.

        :param needed: the field's name in the connection → what it contains
        :param why: the call that needs them
        :raises CCConfigError: at least one is empty
        """
        missing = [f"{name} ({what})" for name, what in needed.items() if not getattr(self, name)]
        if missing:
            where = f"connection {self.conn_id!r} ({self.conn_type})"
            raise CCConfigError(f"{where}: {why} needs {', '.join(missing)}")

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS context of both clients, which verify certificates as curl does.

        :raises CCConfigError: a certificate file cannot be read
        """
        if self.verify is False:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        else:
            environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
            default = environment or certifi.where()
            context = _trusting(self.verify if isinstance(self.verify, str) else default)
        # Private authorities often leave out what Python 3.13 and later require.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.client_cert is not None:
            _load_client_cert(context, self.client_cert)
        return context


def read_settings(connection: Connection, default_port: int, known_extras: Iterable[str]) -> CCSettings:
    """Read a connection.

    :param connection: the Airflow connection
    :param default_port: the port if the connection has none
    :param known_extras: extras that this connection type has besides the common ones
    :raises CCConfigError: an invalid field or extra; the text says what to change
    """
    extra = connection.extra_dejson
    problems: list[str] = []
    known = {*_COMMON, *known_extras}
    if unknown := printable(", ".join(sorted(set(extra) - known))):
        text = "Connection %s: Unknown extras: %s. Supported extras: %s."
        log.warning(text, connection.conn_id, unknown, ", ".join(sorted(known)))
    host = (connection.host or "").strip()
    if any(char in "/@?#" or char.isspace() for char in host):
        problems.append("host must be a name or address only: put https or http into schema")
    elif re.fullmatch(r"[^:]*:[0-9]*|\[.*\]:[0-9]*", host):
        problems.append("host must not include a port: use the port field")
    schema = (connection.schema or "https").strip().lower()
    if schema not in ("https", "http"):
        problems.append("schema must be https (or http, for tests)")
    port = connection.port or default_port
    if not 1 <= port <= 65535:
        problems.append("port must be a number from 1 to 65535")
    settings = {}
    for name, (read, must_be) in _COMMON.items():
        if extra.get(name) in (None, ""):
            continue
        try:
            settings[name] = read(extra[name])
        except CCConfigError as error:
            problems.append(f"extra {name}: {error}")
        except (LookupError, ValueError, TypeError, OverflowError):
            problems.append(f"extra {name} must be {must_be}")
    if problems:
        where = f"connection {connection.conn_id!r} ({connection.conn_type})"
        raise CCConfigError(f"{where}: {'; '.join(problems)}")
    return CCSettings(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type or "",
        host=host.strip("[]"),
        port=port,
        schema=schema,
        login=(connection.login or "").strip(),
        password=connection.password or "",
        extra=extra,
        **settings,
    )


def _trusting(bundle: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the CAs in a file, or in a directory prepared by ``c_rehash``."""
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise CCConfigError(f"the CA bundle {bundle!r} cannot be read: {error.strerror or error}") from None


def _load_client_cert(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_cert_chain(path, password="")  # otherwise OpenSSL prompts for one on the terminal
    except OSError as error:
        wanted = "a certificate and its unencrypted private key"
        reason = getattr(error, "reason", None) or error.strerror or f"not {wanted}"
        raise CCConfigError(
            f"client certificate {path!r} cannot be read ({reason}): it must be one PEM file with {wanted}"
        ) from None


def _verify(value: Any) -> bool | str:
    try:
        return _boolean(value)
    except KeyError:
        path: str = os.path.expanduser(value)
    _trusting(path)  # fail now instead of at every connection attempt
    return path


def _client_cert(value: Any) -> str:
    path: str = os.path.expanduser(value)
    _load_client_cert(ssl.create_default_context(), path)
    return path


def _server_name(value: Any) -> str:
    if not re.fullmatch(r"[0-9A-Za-z_.:-]+", value):
        raise ValueError
    return str(value)


def _number(kind: type[float], most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = kind(str(value))
        if not 0 < number <= most:
            raise ValueError
        return number

    return read


def _boolean(value: Any) -> bool:
    return _BOOLEANS[str(value).strip().lower()]


#: Extras of all types: how to read each, and what it must be.
_COMMON: dict[str, tuple[Any, str]] = {
    "verify": (_verify, "true, false or the path of a readable CA bundle"),
    "server_name": (_server_name, "a host name or an address, without a port"),
    "client_cert": (_client_cert, "the path of a PEM file"),
    "timeout": (_number(float, sys.float_info.max), "a number of seconds above 0"),
    "max_concurrency": (_number(int, 1000), "a whole number from 1 to 1000"),
    "requests_per_second": (_number(float, sys.float_info.max), "a number above 0"),
    "share_session": (_boolean, "true or false"),
}
