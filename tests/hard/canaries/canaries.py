"""Secrets and personal data that look like nothing else, and where in a heap of bytes one of them is."""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import html
import json
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken

#: The characters that are written otherwise in JSON, URLs, HTML, SQL, templates and shells.
_AROUND = "'\"/&%+ß {{}}"
#: Every canary begins and ends so: where neither is found, none of them is.
_HEAD, _TAIL = secrets.token_hex(6), secrets.token_hex(6)
_FERNET = re.compile(rb"gAAAA[\w-]{80,}={0,2}")
_PACKED = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_DEEPEST = 3


def canary(longest: int = 64, plain: bool = False) -> str:
    """Make up a secret.

    :param longest: most characters that the manual allows, at least 32
    :param plain: fit for a header
    """
    core = _HEAD + secrets.token_hex(4) + _TAIL
    return (core if plain else core + _AROUND)[:longest]


def _pieces(secret: str) -> Iterator[str]:
    """Give what of a secret is looked for: of a canary, its beginning and its end will do."""
    if secret.startswith(_HEAD):
        yield from (secret[:20], secret[12:32])
    else:
        yield secret


def _forms(piece: str) -> Iterator[bytes]:
    """Give every form in which a text may lie around."""
    raw = piece.encode()
    yield from (raw, piece[::-1].encode(), raw.hex().encode())
    yield from (json.dumps(piece)[1:-1].encode(), repr(raw)[2:-1].encode(), quote(piece, safe="").encode())
    yield html.escape(piece).encode("ascii", "xmlcharrefreplace")
    for before in range(3) if len(raw) > 5 else ():  # less could not be told from other base64
        coded = base64.b64encode(b"\0" * before + raw)
        # What stands before and after has a part in the characters at both ends.
        middle = coded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield from (middle, middle.translate(_URL_SAFE))


class Search:
    """Finds canaries in bytes, also inside what is compressed, coded or sealed with Airflow's own key.

    :param canaries: name → secret
    :param key: of Airflow's Fernet
    """

    def __init__(self, canaries: Mapping[str, str], key: str | None = None) -> None:
        self._forms = {
            name: {form for piece in _pieces(secret) for form in _forms(piece)}
            for name, secret in canaries.items()
        }
        others = [secret for secret in canaries.values() if not secret.startswith(_HEAD)]
        self._signs = {form for piece in (_HEAD, _TAIL, *others) for form in _forms(piece)}
        self._fernet = Fernet(key) if key else None

    def hits(self, data: object, unsealed: bool = True) -> set[str]:
        """Return the names of the canaries in something.

        :param data: bytes, or what has a text
        :param unsealed: look also into what Airflow has sealed
        """
        raw = data if isinstance(data, bytes) else str(data).encode(errors="replace")
        return {name for layer in self._layers(raw, unsealed) for name in self._in(layer)}

    def where(self, data: object, around: int = 80) -> list[bytes]:
        """Return what surrounds the first of them, for a message."""
        raw = data if isinstance(data, bytes) else str(data).encode(errors="replace")
        for layer in self._layers(raw, True):
            for sign in self._signs:
                if (place := layer.find(sign)) >= 0:
                    return [layer[max(0, place - around) : place + around]]
        return []

    def _in(self, layer: bytes) -> Iterable[str]:
        if not any(sign in layer for sign in self._signs):
            return ()
        names = {name for name, forms in self._forms.items() if any(form in layer for form in forms)}
        return names or {"a piece of one"}

    def _layers(self, data: bytes, unsealed: bool, depth: int = 0) -> Iterator[bytes]:
        yield data
        if depth == _DEEPEST:
            return
        for unpack in (zlib.decompress, gzip.decompress):
            with contextlib.suppress(OSError, EOFError, zlib.error):
                yield from self._layers(unpack(data), unsealed, depth + 1)
        if self._fernet is not None and unsealed:
            for sealed in _FERNET.findall(data):
                with contextlib.suppress(InvalidToken):
                    yield from self._layers(self._fernet.decrypt(sealed), unsealed, depth + 1)
        for coded in _PACKED.findall(data):
            try:
                plain = base64.urlsafe_b64decode(coded.translate(_URL_SAFE))
            except (binascii.Error, ValueError):
                continue
            # Plain base64 has been searched as it is: only what is packed inside hides more.
            if plain[:2] in (b"x\x01", b"x\x9c", b"x\xda", b"\x1f\x8b"):
                yield from self._layers(plain, unsealed, depth + 1)
