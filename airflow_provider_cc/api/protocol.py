"""What the three systems share: an endpoint, a call, its reply, and what the reply means."""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Generic, NamedTuple, NoReturn, TypeAlias, TypeVar

import msgspec

from airflow_provider_cc.api.secret import Unpicklable
from airflow_provider_cc.api.text import clean
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCError,
    CCResponseError,
    CCSessionLapsed,
    CCTransientError,
)

T = TypeVar("T")

#: A code comes as ``"0"`` on most pages and as ``0`` on some: it is compared as text.
Code: TypeAlias = int | str

#: The names under which the systems put the text that goes with a code.
TEXT_FIELDS = ("description", "message", "msg", "resultMessage", "resultDesc")

#: Some tables of the manual nest a whole reply in one of these; the samples beside them are flat.
WRAPPERS = ("schema", "requestParams")

#: So many of a reply's fields are named, at most, when it is not understood.
_MOST_KEYS = 50

#: The codes of the manual: "1" of CC-Management, those of CC-Gateway.
_KNOWN_CODE = re.compile(r"1|[0-9]{3}-[0-9]{3}")

#: What the manual says of the HTTP status codes it lists.
STATUS_TEXT = {
    400: "incorrect request, check the path and the parameters",
    401: "unauthorized: the session is not accepted, the service not bought, or the account blocked",
    403: "authentication failed, or this machine's address is not on the allow-list",
    404: "not found, check the path",
    500: "business failure, check the values of the parameters",
}


class Meaning(enum.Enum):
    """What a code asks of the caller."""

    SUCCESS = enum.auto()
    FAILURE = enum.auto()
    BUSY = enum.auto()  # back off, try again
    LAPSED = enum.auto()  # sign in again, once
    REFUSED = enum.auto()  # never try again: it locks the account


def zero_is_success(code: str) -> Meaning:
    """CC-Management and CC-iSales know two outcomes: "0" and everything else."""
    return Meaning.SUCCESS if code == "0" else Meaning.FAILURE


class Reply(NamedTuple):
    """An HTTP reply as the transport delivers it; header names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Endpoint:
    """One interface of the manual.

    :param name: the manual's name of it; stands in exceptions, rejects and statistics
    :param method: HTTP method
    :param path: path from the host's root, letter case as in the manual; ``{agent_id}`` is filled in
    :param reply: what is read of a successful reply, as a ``msgspec.Struct``. Fields that it does not name
        are never decoded, so no reply password is ever in memory as a value.
        ``None`` reads everything into a ``dict``.
    :param codes: the fields that may hold the outcome; empty where the reply has none
    :param meaning: what a code means
    :param signs_in: whether a refusal of this call is the refusal of a credential
    :param longest: seconds that a reply may take by design
    """

    name: str
    method: str
    path: str
    reply: type[msgspec.Struct] | None
    codes: tuple[str, ...]
    meaning: Callable[[str], Meaning] = zero_is_success
    signs_in: bool = False
    longest: float = 0.0
    decode: Callable[[bytes], Any] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        decode = None if self.reply is None else msgspec.json.Decoder(self.reply).decode
        object.__setattr__(self, "decode", decode)


class Call(msgspec.Struct, Generic[T], frozen=True):
    """One request to an endpoint, and how to read its success; a struct, as one is made for each account.

    :param endpoint: where it goes
    :param body: the JSON body, or ``None``
    :param read: turns the decoded reply and the reply's headers into the result
    :param path: the endpoint's path with everything filled in
    :param headers: headers of this call alone
    :param secrets: the secrets in this request, to be taken out of any text that the server sends back
    """

    endpoint: Endpoint
    body: bytes | None
    read: Callable[[Any, Mapping[str, str]], T]
    path: str
    headers: Mapping[str, str] | None = None
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Call({self.endpoint.name!r}, path={self.path!r})"  # the rest may be secret

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Tell rich, whose tracebacks show local variables, no more than that."""
        return [("path", self.path)]


def understand(call: Call[T], reply: Reply, session_secrets: tuple[str, ...] = ()) -> T:
    """Turn a reply into the call's result, or into the one exception that says what happened.

    :param call: what was asked
    :param reply: what came back
    :param session_secrets: the secrets of the session that signed the request
    :raises CCAuthError: the credential, or this machine, is refused
    :raises CCSessionLapsed: the session is not accepted (any more)
    :raises CCTransientError: later, perhaps
    :raises CCBusinessError: the answer is no
    :raises CCResponseError: the reply is not what the manual says
    """
    try:
        status, headers, body = reply
        if status == 200 and call.endpoint.decode is not None:
            try:
                decoded = call.endpoint.decode(body)
            except (msgspec.MsgspecError, RecursionError, UnicodeError):
                pass
            else:
                code = getattr(decoded, "code", 0)
                if code == 0 or code == "0":
                    return call.read(decoded, headers)
        return _examine(call, reply, (*call.secrets, *session_secrets))
    except (CCBusinessError, CCResponseError, CCSessionLapsed) as error:
        if call.endpoint.signs_in and reply.status < 500:
            raise CCAuthError(error.endpoint, error.code, error.text) from None
        raise


def _examine(call: Call[T], reply: Reply, secrets: tuple[str, ...], wrapped: bool = False) -> T:
    """Read whatever is not plainly a success, with time to find out what it is."""
    endpoint = call.endpoint
    fields = _fields(reply.body)
    if not 200 <= reply.status < 300:
        _raise_for_status(endpoint.name, reply, _text(fields, secrets))
    if fields is None:
        what = f"{len(reply.body)} bytes of {clean(reply.headers.get('Content-Type', 'no type'), secrets)}"
        raise CCResponseError(endpoint.name, "not JSON", f"the reply is not a JSON object but {what}")
    if endpoint.codes:
        # On some pages `result` is the code, on others the payload: only a plain value is a code.
        codes = (_plain(fields[name]) for name in endpoint.codes if name in fields)
        code = next((code for code in codes if code is not None), None)
        wrapper = next((name for name in WRAPPERS if name in fields), None)
        if code is None and wrapper is not None and not wrapped:
            inner = bytes(fields[wrapper])
            return _examine(call, reply._replace(body=inner), secrets, wrapped=True)
        if code is None:
            expected = " or ".join(endpoint.codes)
            raise CCResponseError(
                endpoint.name, "no code", f"no {expected} in the reply; {_keys_seen(fields, secrets)}"
            )
        _raise_for_code(endpoint, code, _text(fields, secrets), secrets)
    decode = endpoint.decode or msgspec.json.decode
    try:
        return call.read(decode(_without_mark(reply.body)), reply.headers)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        # msgspec's text names types and places, never values.
        raise CCResponseError(
            endpoint.name, "shape", f"{clean(str(error), secrets)}; {_keys_seen(fields, secrets)}"
        ) from None


def _raise_for_status(endpoint: str, reply: Reply, text: str) -> NoReturn:
    status, headers, _ = reply
    code = f"HTTP {status}"
    text = "; ".join(part for part in (STATUS_TEXT.get(status, ""), text) if part)
    if status == 401:
        raise CCSessionLapsed(endpoint, code, text)
    if status == 403:
        raise CCAuthError(endpoint, code, text)
    if status in (408, 429, 502, 503, 504):
        raise CCTransientError(endpoint, code, text, retry_after(headers.get("Retry-After")))
    if status in STATUS_TEXT:
        raise CCBusinessError(endpoint, code, text)
    if 300 <= status < 400:
        text = "a redirect, which is never followed: check host, port and schema of the connection"
    raise CCResponseError(endpoint, code, text)


_ERROR_OF: dict[Meaning, type[CCError]] = {
    Meaning.FAILURE: CCBusinessError,
    Meaning.BUSY: CCTransientError,
    Meaning.LAPSED: CCSessionLapsed,
    Meaning.REFUSED: CCAuthError,
}


def _raise_for_code(endpoint: Endpoint, code: str, text: str, secrets: tuple[str, ...]) -> None:
    error = _ERROR_OF.get(endpoint.meaning(code))
    if error is not None:
        # Cleaned only to be shown: a password as short as "0" must not change what the code means. A code of
        # the manual's own says nothing about a password that looks like a part of it.
        shown = code if _KNOWN_CODE.fullmatch(code) else clean(code, secrets)
        raise error(endpoint.name, shown, text)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, as a number or as a date.

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


def _without_mark(body: bytes) -> bytes:
    return body.removeprefix(b"\xef\xbb\xbf")


def _fields(body: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the reply's fields, undecoded: their names can be told, their values stay closed."""
    try:
        return msgspec.json.decode(_without_mark(body), type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def _plain(raw: msgspec.Raw) -> str | None:
    """Return a string, or a whole number as text; ``None`` for anything else."""
    try:
        value = msgspec.json.decode(raw, type=int | str)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return str(value)


def _text(fields: dict[str, msgspec.Raw] | None, secrets: tuple[str, ...]) -> str:
    for name in TEXT_FIELDS if fields else ():
        if fields and name in fields and (text := clean(_plain(fields[name]), secrets)):
            return text
    return ""


def _keys_seen(fields: Iterable[str], secrets: tuple[str, ...]) -> str:
    names = ", ".join(sorted(islice(fields, _MOST_KEYS))) or "none"
    return clean(f"keys seen: {names}", secrets)


def whole_number(endpoint: str, name: str, value: object, most: int = 2**31 - 1) -> int | None:
    """Read a number that may come as ``7094``, ``"7094"``, ``""`` or not at all.

    :param endpoint: for the exception
    :param name: the field's name, for the exception
    :param value: what was decoded
    :param most: the largest sensible value; beyond it the field is not what the manual says
    :raises CCResponseError: something else; the text does not show the value
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
        raise CCResponseError(endpoint, "shape", f"{name} is not a whole number from 0 to {most}")
    return number


def short_text(endpoint: str, name: str, value: object, most: int = 64) -> str | None:
    """Read a short text that may come as a number, empty or not at all.

    :param endpoint: for the exception
    :param name: the field's name, for the exception
    :param value: what was decoded
    :param most: longest sensible text, in characters
    :raises CCResponseError: something else; the text does not show the value
    """
    if value is None or value == "":
        return None
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or len(text) > most or not text.isprintable():
        raise CCResponseError(
            endpoint, "shape", f"{name} is not a printable text of at most {most} characters"
        )
    return text.strip() or None


def fits_header(value: str) -> bool:
    """Whether a text can stand in an HTTP header: visible ASCII, no blanks."""
    return value != "" and value.isascii() and value.isprintable() and " " not in value


@dataclass(frozen=True)
class Session(Unpicklable):
    """What a sign-in yields.

    :param token: the AccessToken, the Guid or the iSales token
    :param lifetime: seconds it lives from now on; ``None`` where nobody says
    :param refresh_token: what a new token can be had for without the password
    :param refresh_lifetime: seconds that this one lives
    """

    token: str = field(repr=False)
    lifetime: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_lifetime: float | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything in it that must not be seen."""
        return (self.token,) if self.refresh_token is None else (self.token, self.refresh_token)


def session_value(endpoint: str, name: str, value: object) -> str:
    """Check that a sign-in delivered what later requests carry.

    :raises CCResponseError: it did not (which, at a sign-in, is a refusal)
    """
    if isinstance(value, str) and fits_header(value):
        return value
    raise CCResponseError(endpoint, "no session", f"the reply carries no usable {name}")


def text_argument(name: str, value: object, most: int) -> str:
    """Check a text that goes into a request.

    :param name: the argument's name, for the error
    :param value: the argument
    :param most: the manual's limit in characters
    :raises ValueError: empty, blank, too long, no text, or not encodable
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty")
    if len(value) > most:
        raise ValueError(f"{name} must have at most {most} characters, not {len(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} has a character that cannot be sent (a lone surrogate)") from None
    return value


def number_argument(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check a whole number that goes into a request; digits in a text will do.

    :raises ValueError: it is none, or out of range
    """
    text = str(value).strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
    if number is None or isinstance(value, bool) or number < least or (most is not None and number > most):
        limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"{name} must be a whole number {limits}")
    return number
