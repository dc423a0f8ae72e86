"""What an Airflow connection says, read once and checked."""

from __future__ import annotations

import inspect
import ipaddress
import logging
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from certifi import where

from airflow_provider_cc.api.secret import Unpicklable
from airflow_provider_cc.api.text import printable
from airflow_provider_cc.compat import Connection
from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.get_provider_info import CONNECTION_TYPES

log = logging.getLogger(__name__)

_TRUE = {"true", "1", "yes", "on", "t", "y"}
_FALSE = {"false", "0", "no", "off", "f", "n"}


@dataclass(frozen=True)
class CCSettings(Unpicklable):
    """A connection's fields, with extras of the right types whether they came from a form, a URI or JSON.

    :param conn_id: connection id
    :param conn_type: connection type
    :param host: domain name or address
    :param port: port
    :param schema: ``https`` or ``http``
    :param login: app key, administrator ID, user or account
    :param password: what goes with it
    :param extra: everything else, as it is
    :param verify: check the server's certificate: true, a CA bundle's path, or false
    :param timeout: seconds to wait for a connection, and for each answer
    :param max_concurrency: most requests under way at once in bulk calls
    :param requests_per_second: ceiling for bulk calls; ``None`` for none
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
    timeout: float = 30.0
    max_concurrency: int = 32
    requests_per_second: float | None = None
    share_session: bool = False

    @property
    def base_url(self) -> str:
        """Schema, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.schema}://{host}:{self.port}"

    def url(self, path: str) -> str:
        """Return the address of a path; an address stays what it is.

        :param path: from the host's root
        :raises CCConfigError: an address that would send in the clear what this connection encrypts
        """
        if path.startswith("/"):
            return self.base_url + path
        if path.startswith("https://") or (path.startswith("http://") and self._may_be_plain(path)):
            return path
        raise CCConfigError(
            f"connection {self.conn_id!r}: extra token_url must be a path that begins with / or an https "
            "address; http only where schema says http"
        )

    def _may_be_plain(self, address: str) -> bool:
        if self.schema == "http":
            return True
        try:
            host = urlsplit(address).hostname or ""
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def require(self, needed: dict[str, str], why: str) -> None:
        """Insist on fields, naming every one that is missing.

        :param needed: the field's name in the connection → what it is
        :param why: the call that needs them
        :raises CCConfigError: at least one is empty
        """
        missing = [f"{name} ({what})" for name, what in needed.items() if not getattr(self, name)]
        if missing:
            raise CCConfigError(
                f"connection {self.conn_id!r} ({self.conn_type}): {why} needs {', '.join(missing)}"
            )

    def ssl_context(self) -> ssl.SSLContext | bool:
        """Return how the asynchronous client checks certificates; the same as the blocking one.

        :raises CCConfigError: the CA bundle cannot be read
        """
        if self.verify is False:
            return False
        if self.verify is True:  # the same authorities as requests
            environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
            return _trusting(environment or where())
        return _trusting(self.verify)


def read_settings(connection: Connection, default_port: int, known_extras: Iterable[str]) -> CCSettings:
    """Read a connection.

    :param connection: the Airflow connection
    :param default_port: where it names none
    :param known_extras: extras that this connection type has besides the common ones
    :raises CCConfigError: a field or an extra that makes no sense, with what to change
    """
    extra = connection.extra_dejson
    problems: list[str] = []
    known = {*_COMMON, *known_extras}
    unknown = sorted(set(extra) - known)
    if unknown:
        log.warning(
            "Connection %s has extras that are not used: %s. Known are %s.",
            connection.conn_id,
            printable(", ".join(unknown)),
            ", ".join(sorted(known)),
        )
    host = (connection.host or "").strip()
    if any(char in "/@?#" or char.isspace() for char in host):
        problems.append(
            "host must be a bare name or address: put https or http into schema, the port into port"
        )
    schema = (connection.schema or "https").strip().lower()
    if schema not in ("https", "http"):
        problems.append("schema must be https (or, for a test, http)")
    port = connection.port or default_port
    if not 1 <= port <= 65535:
        problems.append("port must be a number from 1 to 65535")
    settings = {
        name: _read(name, extra.get(name), problems) for name in _COMMON if extra.get(name) not in (None, "")
    }
    if problems:
        raise CCConfigError(
            f"connection {connection.conn_id!r} ({connection.conn_type}): {'; '.join(problems)}"
        )
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
    """Return how to trust the authorities in a file, or in a directory prepared by ``c_rehash``."""
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise CCConfigError(f"the CA bundle {bundle!r} cannot be read: {error.strerror or error}") from None


def _verify(value: Any) -> bool | str:
    try:
        return as_bool(value)
    except ValueError:
        if not isinstance(value, str):
            raise
    try:
        _trusting(value)  # now, and not as a connection that breaks again and again
    except CCConfigError as error:
        raise ValueError from error
    return value


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _count(value: Any) -> int:
    number = int(str(value))
    if not 1 <= number <= 1000:
        raise ValueError
    return number


def as_bool(value: Any) -> bool:
    """Read a truth value that may come as a text or a number.

    :raises ValueError: anything else
    """
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


#: Extras of all types: how to read each, and what it must be.
_COMMON: dict[str, tuple[Any, str]] = {
    "verify": (_verify, "true, false or the path of a CA bundle that can be read"),
    "timeout": (_positive, "a number of seconds above 0"),
    "max_concurrency": (_count, "a whole number from 1 to 1000"),
    "requests_per_second": (_positive, "a number above 0"),
    "share_session": (as_bool, "true or false"),
}


def _read(name: str, value: Any, problems: list[str]) -> Any:
    reader, must_be = _COMMON[name]
    try:
        return reader(value)
    except (ValueError, TypeError, OverflowError):
        problems.append(f"extra {name} must be {must_be}")
        return None


class CCForm:
    """A connection type; the subclass names it."""

    conn_type: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Give the subclass the methods as its own: Airflow asks no class for what it only inherits."""
        super().__init_subclass__(**arguments)
        for name in ("get_ui_field_behaviour", "get_connection_form_widgets"):
            setattr(cls, name, inspect.getattr_static(cls, name))

    @classmethod
    def _entry(cls) -> dict[str, Any]:
        return next(entry for entry in CONNECTION_TYPES if entry["connection-type"] == cls.conn_type)

    @classmethod
    def _label(cls, field: str) -> str:
        """Return what the form calls a field."""
        label: str = cls._entry()["ui-field-behaviour"]["relabeling"].get(field, field)
        return label

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the form shows, and under which labels."""
        return {key.replace("-", "_"): value for key, value in cls._entry()["ui-field-behaviour"].items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's further fields."""
        # Imported here: only the process that shows forms has them.
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        return {
            name: StringField(field["label"], description=field["description"], widget=BS3TextFieldWidget())
            for name, field in cls._entry()["conn-fields"].items()
        }
