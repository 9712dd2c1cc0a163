"""Encodings of texts: UTF-8, UTF-16 and UTF-32, with and without a byte order mark, as UTF-8."""

from __future__ import annotations

import codecs
from io import BufferedReader, RawIOBase
from typing import Any, cast

from cluster_sim.errors import ScenarioError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BY_ZEROS = {
    b"\1\0\0\0": "utf-32-le",
    b"\0\0\0\1": "utf-32-be",
    b"\1\0\1\0": "utf-16-le",
    b"\0\1\0\1": "utf-16-be",
}
"""Encodings by which of the first four bytes are zero."""
_AT_A_TIME = 1 << 16  # bytes


def encoding_of(first: bytes) -> tuple[bytes, str]:
    r"""Return the byte order mark of a text that begins so, and its encoding.

    Without a mark the zero bytes of the first two characters decide, which are ASCII in a heading
    as in JSON (RFC 4627, section 3).

    >>> encoding_of(b"T\0I\0")
    (b'', 'utf-16-le')
    """
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return mark, encoding
    return b"", _BY_ZEROS.get(bytes(map(bool, first[:4])), "utf-8")


def as_utf8(file: BufferedReader, name: str) -> BufferedReader:
    """Return the text of a file as UTF-8, without its byte order mark.

    Bytes that are no UTF-8 are left as they are, so that a text in Latin-1 is read where it
    matters; ScenarioError is raised where UTF-16 or UTF-32 is damaged.
    """
    mark, encoding = encoding_of(file.peek(4))
    file.read(len(mark))
    return (
        file
        if encoding == "utf-8"
        else cast(BufferedReader, BufferedReader(_Recoded(file, encoding, name)))
    )


class _Recoded(RawIOBase):
    """UTF-8 of a text in another encoding."""

    def __init__(self, file: BufferedReader, encoding: str, name: str) -> None:
        self._file, self._encoding, self._name = file, encoding, name
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._ends = 0  # of lines so far

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as what was read last goes; return the number of bytes."""
        while not self._ready:
            data = self._file.read1(_AT_A_TIME)
            try:
                self._ready = self._decoder.decode(data, final=not data).encode()
            except UnicodeError as fault:
                raise ScenarioError.at(
                    f"{self._name}:{self._ends + 1}",
                    f"is no {self._encoding.upper()} to its end: {getattr(fault, 'reason', fault)}; expected UTF-8",
                ) from fault
            self._ends += self._ready.count(b"\n")
            if not data:
                break
        some, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)
