"""Shared by the three systems: an endpoint, a call, its reply, and the meaning of the reply."""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, NoReturn, TypeAlias, TypeVar

import msgspec

from airflow_provider_cc.api import lenient
from airflow_provider_cc.api.secret import Unpicklable
from airflow_provider_cc.api.text import clean
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCError,
    CCResponseError,
    CCSessionRefused,
    CCTransientError,
    ErrorCode,
)

T = TypeVar("T")

#: A code is ``"0"`` on most pages of the manual and ``0`` on some, so it is compared as text.
Code: TypeAlias = int | str

#: Names of the field with the text that explains a code.
TEXT_FIELDS = (
    "description",
    "message",
    "msg",
    "resultMessage",
    "resultDesc",
    "error_msg",
    "errorMsg",
    "errorMessage",
    "error_description",
)

#: Some tables of the manual nest the whole reply in one of these fields, although their samples are flat.
WRAPPERS = ("schema", "requestParams")

#: Maximum number of field names that describe an unknown reply.
_MOST_KEYS = 50

#: The codes of the manual: "1" of CC-Management, those of CC-Gateway.
_KNOWN_CODE = re.compile(r"1|[0-9]{3}-[0-9]{3}")

#: Meaning of the HTTP status codes that the manual lists.
STATUS_TEXT = {
    400: "incorrect request, check the path and the parameters",
    401: "unauthorized: the session is not accepted, the service not bought, or the account blocked",
    403: "authentication failed, this interface is not allowed for this credential, or this machine's "
    "address is not on the allow-list",
    404: "not found, check the path",
    500: "business failure, check the values of the parameters",
}

#: Temporary failures of the contact center, or of the load balancer or web firewall (418) in front of it.
_BUSY_STATUSES = frozenset({408, 418, 429, 502, 503, 504})


class Meaning(enum.Enum):
    """Meaning of a code for the caller."""

    SUCCESS = enum.auto()
    FAILURE = enum.auto()
    BUSY = enum.auto()  # back off and retry
    LAPSED = enum.auto()  # the session may have lapsed
    REFUSED = enum.auto()  # the credential is rejected; a retry could lock the account


def zero_is_success(code: str) -> Meaning:
    """Return the meaning of a code of CC-Management or CC-iSales: "0" is success, all others failure."""
    return Meaning.SUCCESS if code == "0" else Meaning.FAILURE


def zero_or_refused(code: str) -> Meaning:
    """Return the meaning of a sign-in's code: any code other than "0" rejects the credential."""
    return Meaning.SUCCESS if code == "0" else Meaning.REFUSED


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """An HTTP reply from the transport; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Request(msgspec.Struct):
    """An HTTP request as a transport sends it.

    :param name: the manual's name of the interface, for exceptions
    :param method: HTTP method
    :param path: path from the host's root, or a URL
    :param headers: all headers except the transport's own
    :param body: the body, or ``None``
    :param longest: seconds by which a reply may exceed the time-out by design
    """

    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    longest: float = 0.0

    def signed(self, headers: Mapping[str, str]) -> Request:
        """Return the request with additional headers; its own headers take precedence.

        :param headers: the headers that sign it
        """
        merged = {**headers, **self.headers} if self.headers else headers
        return Request(self.name, self.method, self.path, merged, self.body, self.longest)

    def __repr__(self) -> str:
        return f"Request({self.name!r}, {self.method!r}, {self.path!r})"  # the rest may be secret


@dataclass(frozen=True)
class Endpoint:
    """One interface of the manual.

    :param name: the manual's name of the interface; used in exceptions, rejects and statistics
    :param method: HTTP method
    :param path: path from the host's root, letter case as in the manual; ``{agent_id}`` is replaced
    :param reply: model of a successful reply, a ``msgspec.Struct``. Fields that it does not name are never
        decoded, so a reply's password is never in memory as a value.
        ``None`` reads everything into a ``dict``, without the values of :data:`SECRET_FIELDS`.
    :param codes: fields that may hold the result code; empty if the reply has none
    :param meaning: returns the meaning of a code
    :param signs_in: whether this is a sign-in
    :param is_query: whether the call changes nothing and can be repeated at any time
    :param longest: seconds that a reply may take by design
    """

    name: str
    method: str
    path: str
    reply: type[msgspec.Struct] | None
    codes: tuple[str, ...]
    meaning: Callable[[str], Meaning] = zero_is_success
    signs_in: bool = False
    is_query: bool = False
    longest: float = 0.0
    decode: Callable[[bytes], Any] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        decode = None if self.reply is None else msgspec.json.Decoder(self.reply).decode
        object.__setattr__(self, "decode", decode)


class Call(msgspec.Struct, Generic[T], frozen=True):
    """One request to an endpoint, and how to read its reply. A struct, because every account needs one.

    :param endpoint: the endpoint
    :param body: the JSON body, or ``None``
    :param read: turns the decoded reply and the reply's headers into the result
    :param path: the endpoint's path with all values inserted
    :param headers: headers of this call only
    :param secrets: the secrets in this request. They are removed from any text that the server returns, and a
        call with secrets is never sent twice
    """

    endpoint: Endpoint
    body: bytes | None
    read: Callable[[Any, Mapping[str, str]], T]
    path: str
    headers: Mapping[str, str] | None = None
    secrets: tuple[str, ...] = ()

    @property
    def request(self) -> Request:
        """The unsigned request."""
        endpoint = self.endpoint
        return Request(
            endpoint.name,
            endpoint.method,
            self.path,
            self.headers or _NO_HEADERS,
            self.body,
            endpoint.longest,
        )

    def __repr__(self) -> str:
        return f"Call({self.endpoint.name!r}, path={self.path!r})"  # the rest may be secret

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no more in tracebacks of rich, which print local variables."""
        return [("path", self.path)]


def understand(call: Call[T], reply: Reply, session_secrets: tuple[str, ...] = ()) -> T:
    """Turn a reply into the call's result, or raise the exception that describes the failure.

    :param call: the call
    :param reply: its reply
    :param session_secrets: the secrets of the session that signed the request
    :raises CCAuthError: the credential is rejected
    :raises CCSessionRefused: 401, 403 or a code that rejects the session (never for a sign-in)
    :raises CCTransientError: a temporary failure
    :raises CCBusinessError: the call is rejected
    :raises CCResponseError: the reply does not match the manual
    """
    status, headers, body = reply
    decode = call.endpoint.decode
    if status == 200 and decode is not None and (body.isascii() or lenient.is_utf8(headers)):
        try:
            decoded = decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            pass
        else:
            code = getattr(decoded, "code", 0)
            if code == 0 or code == "0":
                return call.read(decoded, headers)
    return _examine(call, reply, (*call.secrets, *session_secrets))


def _examine(call: Call[T], reply: Reply, secrets: tuple[str, ...]) -> T:
    """Read a reply that is not obviously a success."""
    endpoint, name = call.endpoint, call.endpoint.name
    content_type = reply.headers.get("Content-Type")
    try:
        document = lenient.loads(reply.body, content_type)
        why = f"a {type(document).__name__}"
    except ValueError as error:
        document, why = None, str(error)
    document = document if isinstance(document, dict) else None
    if not 200 <= reply.status < 300:
        _raise_for_status(endpoint, reply, document is not None, _text(document, secrets))
    if document is None:
        what = f"{len(reply.body)} bytes of {content_type or 'no type'} ({why})"
        raise CCResponseError(
            name, ErrorCode.NOT_JSON, clean(f"the reply is not a JSON object but {what}", secrets)
        )
    code = _code(endpoint, document)
    wrapper = next((name for name in WRAPPERS if isinstance(document.get(name), dict)), None)
    if code is None and wrapper is not None:
        document = document[wrapper]
        code = _code(endpoint, document)
    if code is None and endpoint.codes and endpoint.reply is not None and not endpoint.signs_in:
        expected = " or ".join(endpoint.codes)
        raise CCResponseError(
            name, ErrorCode.MISSING_CODE, f"no {expected} in the reply; {_keys_seen(document, secrets)}"
        )
    if code is not None:
        _raise_for_code(endpoint, code, _text(document, secrets), secrets)
    if endpoint.reply is None:
        return call.read(_without_secrets(document), reply.headers)
    try:
        return call.read(msgspec.convert(document, endpoint.reply), reply.headers)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        # msgspec's text names types and places, never values.
        text = f"{clean(str(error), secrets)}; {_keys_seen(document, secrets)}"
        raise CCResponseError(name, ErrorCode.UNEXPECTED_FORMAT, text) from None


def _code(endpoint: Endpoint, document: dict[str, Any]) -> str | None:
    """Return the result code; ``result`` is a code on some pages of the manual and the payload on others."""
    values = (document[name] for name in endpoint.codes if name in document)
    return next((str(value) for value in values if type(value) in (int, str)), None)


def _raise_for_status(endpoint: Endpoint, reply: Reply, is_json: bool, text: str) -> NoReturn:
    status = reply.status
    name, code = endpoint.name, f"HTTP {status}"
    text = "; ".join(part for part in (STATUS_TEXT.get(status, ""), text) if part)
    if status in (401, 403) and not endpoint.signs_in:
        raise CCSessionRefused(name, code, text, status)
    # A 403 without JSON comes from a firewall or proxy and says nothing about the credential.
    if status == 401 or (status == 403 and is_json):
        raise CCAuthError(name, code, text, status)
    if status in _BUSY_STATUSES:
        raise CCTransientError(name, code, text, status, retry_after(reply.headers.get("Retry-After")))
    if status in STATUS_TEXT:
        raise CCBusinessError(name, code, text, status)
    if 300 <= status < 400:
        text = "a redirect, which is never followed: check host, port and schema of the connection"
    raise CCResponseError(name, code, text, status)


_ERROR_OF: dict[Meaning, type[CCError]] = {
    Meaning.FAILURE: CCBusinessError,
    Meaning.BUSY: CCTransientError,
    Meaning.LAPSED: CCSessionRefused,
    Meaning.REFUSED: CCAuthError,
}


def _raise_for_code(endpoint: Endpoint, code: str, text: str, secrets: tuple[str, ...]) -> None:
    meaning = endpoint.meaning(code)
    if meaning is Meaning.LAPSED and endpoint.signs_in:
        meaning = Meaning.FAILURE  # there is no session yet, and the code says nothing about the credential
    error = _ERROR_OF.get(meaning)
    if error is not None:
        # Cleaned only for display: a password as short as "0" must not change the meaning of a code. A known
        # code is shown as it is, because it reveals nothing about a password that happens to be part of it.
        shown = code if _KNOWN_CODE.fullmatch(code) else clean(code, secrets)
        raise error(endpoint.name, shown, text)


def retry_after(value: str | None) -> float | None:
    """Return the seconds in a ``Retry-After`` header, which holds a number or a date.

    :param value: the header, or ``None``
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None  # NaN is not equal to itself


#: Reply fields that hold a secret, in lower case; :func:`any_call` removes them.
SECRET_FIELDS = frozenset(
    {"password", "sippwd", "agentpwd", "phonetoken", "guid", "accesstoken", "token", "refreshtoken"}
)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_secrets(inner)
            for name, inner in value.items()
            if name.lower() not in SECRET_FIELDS
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _text(document: dict[str, Any] | None, secrets: tuple[str, ...]) -> str:
    for name in TEXT_FIELDS if document else ():
        if (
            document
            and type(document.get(name)) in (int, str)
            and (text := clean(str(document[name]), secrets))
        ):
            return text
    return ""


def _keys_seen(document: Iterable[str], secrets: tuple[str, ...]) -> str:
    names = ", ".join(sorted(islice(document, _MOST_KEYS))) or "none"
    return clean(f"keys seen: {names}", secrets)


def whole_number(endpoint: str, name: str, value: object, most: int = 2**31 - 1) -> int | None:
    """Read a number that may be ``7094``, ``"7094"``, ``""`` or missing.

    :param endpoint: the endpoint's name, for the exception
    :param name: the field's name, for the exception
    :param value: the decoded value
    :param most: the largest valid value
    :raises CCResponseError: anything else; the text does not contain the value
    """
    if value is None or value == "":
        return None
    number = -1
    if type(value) is int:
        number = value
    elif isinstance(value, str):
        digits = value.strip()
        if not digits:
            return None
        if digits.isascii() and digits.isdigit() and len(digits) <= 10:
            number = int(digits)
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if not 0 <= number <= most:
        raise CCResponseError(
            endpoint, ErrorCode.UNEXPECTED_FORMAT, f"{name} is not a whole number from 0 to {most}"
        )
    return number


def short_text(endpoint: str, name: str, value: object, most: int = 64) -> str | None:
    """Read a short text that may be a number, empty or missing.

    :param endpoint: the endpoint's name, for the exception
    :param name: the field's name, for the exception
    :param value: the decoded value
    :param most: maximum length, in characters
    :raises CCResponseError: anything else; the text does not contain the value
    """
    if value is None or value == "":
        return None
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or len(text) > most or not text.isprintable():
        raise CCResponseError(
            endpoint,
            ErrorCode.UNEXPECTED_FORMAT,
            f"{name} is not a printable text of at most {most} characters",
        )
    return text.strip() or None


def fits_header(value: str) -> bool:
    """Return whether a text can be the value of an HTTP header: visible ASCII without spaces."""
    return value != "" and value.isascii() and value.isprintable() and " " not in value


@dataclass(frozen=True)
class Session(Unpicklable):
    """The result of a sign-in.

    :param token: the AccessToken, the Guid or the iSales token
    :param lifetime: seconds from now until the token lapses; ``None`` if unknown
    :param refresh_token: token that gets a new token without the password
    :param refresh_lifetime: seconds from now until the refresh token lapses; ``None`` if unknown
    """

    token: str = field(repr=False)
    lifetime: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_lifetime: float | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of the session."""
        return (self.token,) if self.refresh_token is None else (self.token, self.refresh_token)


def session_value(endpoint: str, name: str, value: object) -> str:
    """Check the value that later requests carry.

    :param endpoint: the endpoint's name, for the exception
    :param name: the value's name, for the exception
    :param value: the decoded value
    :raises CCResponseError: the value is missing or cannot be sent
    """
    if isinstance(value, str) and fits_header(value):
        return value
    raise CCResponseError(endpoint, ErrorCode.NO_SESSION, f"the reply contains no valid {name}")


#: From the first value on, a lifetime is a point in time in seconds; from the second on, in milliseconds.
_EPOCH, _EPOCH_MS = 1e9, 1e12


def lifetime_of(value: object, created: object = None) -> float | None:
    """Read a session's lifetime, which the manual describes both as seconds and as the time when it ends.

    :param value: the decoded value: seconds, or seconds or milliseconds since 1970; a number or a text
    :param created: when the session was created, in seconds or milliseconds since 1970; now if unreadable
    :return: seconds, or ``None`` if unreadable
    """
    seconds = _number(value)
    if seconds is None or seconds < _EPOCH:
        return seconds
    begin = _in_seconds(_number(created) or 0.0)
    left = _in_seconds(seconds) - (begin if begin >= _EPOCH else time.time())
    return left if left > 0 else None


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None


def _in_seconds(moment: float) -> float:
    return moment / 1000 if moment >= _EPOCH_MS else moment


def text_argument(name: str, value: object, most: int, least: int = 1) -> str:
    """Check a string that goes into a request.

    :param name: the argument's name, for the error
    :param value: the argument
    :param most: the manual's limit, in characters
    :param least: 0 if the string may be empty
    :raises ValueError: empty, blank, too long, not a string, or not encodable
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {type(value).__name__}")
    if not value.strip() and (least or value):
        raise ValueError(f"{name} must not be empty")
    if len(value) > most:
        raise ValueError(f"{name} must have at most {most} characters, not {len(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} contains a lone surrogate, which cannot be sent") from None
    return value


def number_argument(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check a whole number that goes into a request; a string of digits is accepted.

    :param name: the argument's name, for the error
    :param value: the argument
    :param least: the smallest valid number
    :param most: the largest valid number; ``None`` for no limit
    :raises ValueError: not a whole number, or out of range
    """
    text = str(value).strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
    if number is None or isinstance(value, bool) or number < least or (most is not None and number > most):
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"{name} must be a whole number {limits}")
    return number


#: Fields that may hold the result code of an interface without its own function.
_ANY_CODES = ("returnCode", "resultCode", "retcode", "result")
#: Success in CC-iSales ("0200000") and CMS ("0100000"): the last five digits are zero.
_ZEROS = re.compile(r"0|[0-9]{2}00000")


def _any_meaning(code: str) -> Meaning:
    return Meaning.SUCCESS if _ZEROS.fullmatch(code) else Meaning.FAILURE


def any_call(
    method: str, path: str, json: Any, full_path: str, meaning: Callable[[str], Meaning] = _any_meaning
) -> Call[dict[str, Any]]:
    """Call an interface that has no function of its own.

    The result is the whole reply without :data:`SECRET_FIELDS`. A reply without a code is a success.

    :param method: HTTP method
    :param path: path as given by the user; names the call in exceptions
    :param json: the body; ``None`` sends an empty object, except with GET, HEAD and DELETE
    :param full_path: path from the host's root
    :param meaning: returns the meaning of a code
    """
    method = method.upper()
    endpoint = Endpoint(path, method, full_path, None, _ANY_CODES, meaning, is_query=method == "GET")
    empty: dict[str, Any] | None = None if method in ("GET", "DELETE", "HEAD") else {}
    body = empty if json is None else json
    return Call(
        endpoint, None if body is None else msgspec.json.encode(body), lambda reply, _: reply, full_path
    )
