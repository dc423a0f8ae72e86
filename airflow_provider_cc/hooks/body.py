"""A reply's body, however long and however packed, read into bounded memory."""

from __future__ import annotations

import zlib

from airflow_provider_cc.exceptions import CCResponseError

#: No reply of the manual comes near this size, in bytes; a longer one is cut off with an error.
MAX_BODY = 16 * 1024 * 1024
#: What both clients ask for, and all that they unpack.
ACCEPT_ENCODING = "gzip, deflate"
#: A gzip header or zlib's, whichever comes.
_EITHER = 32 + zlib.MAX_WBITS


class Body:
    """Collects a body piece by piece.

    It is unpacked here and not by the HTTP libraries, since 64 KiB can unpack to any size: this stops where
    the limit is.

    :param endpoint: for exceptions
    :param encoding: the reply's ``Content-Encoding``, if it has one
    """

    def __init__(self, endpoint: str, encoding: str | None) -> None:
        self._endpoint = endpoint
        self._encoding = (encoding or "").strip().lower()
        self._unpacker: zlib._Decompress | None = None
        self._parts: list[bytes] = []
        self._size = self._received = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece, as it came over the wire.

        :raises CCResponseError: too much of it, or packed in a way that cannot be unpacked
        """
        self._received += len(piece)
        part = piece if self._encoding in ("", "identity") else self._unpacked(piece)
        self._size += len(part)
        # Either may be the longer one, and either alone may have no end.
        if max(self._size, self._received) > MAX_BODY:
            raise CCResponseError(self._endpoint, "too long", f"the reply is longer than {MAX_BODY} bytes")
        self._parts.append(part)

    def whole(self) -> bytes:
        """Return the body.

        :raises CCResponseError: its compressed form lacks its end
        """
        if self._unpacker is not None and not self._unpacker.eof:
            raise self._broken()
        return b"".join(self._parts)

    def _unpacked(self, piece: bytes) -> bytes:
        if self._unpacker is None and piece:
            self._unpacker = zlib.decompressobj(self._window(piece[0]))
        if self._unpacker is None:
            return b""
        try:
            # One byte more than there is room for shows that it is too long.
            part = self._unpacker.decompress(piece, MAX_BODY + 1 - self._size)
        except zlib.error:
            raise self._broken() from None
        if self._unpacker.unused_data:
            raise self._broken()
        return part

    def _window(self, first: int) -> int:
        """Choose how to unpack; some servers leave out the header of "deflate"."""
        if self._encoding in ("gzip", "x-gzip"):
            return _EITHER
        if self._encoding == "deflate":
            return _EITHER if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS
        raise CCResponseError(
            self._endpoint, "not readable", f"the reply is compressed, but by none of {ACCEPT_ENCODING}"
        )

    def _broken(self) -> CCResponseError:
        return CCResponseError(self._endpoint, "not readable", "the reply's compression is broken")
