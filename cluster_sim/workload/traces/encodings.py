"""Conversion of texts in UTF-16 or UTF-32, with or without a byte order mark, to UTF-8."""

from __future__ import annotations

import codecs
from io import BufferedReader, RawIOBase
from typing import Any, cast

from cluster_sim.errors import ScenarioError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, since it begins with the mark of UTF-16
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
"""Encodings, by the pattern of zeros in the first four bytes."""
_AT_A_TIME = 1 << 16  # bytes


def encoding_of(first: bytes) -> tuple[bytes, str]:
    r"""Return the byte order mark and the encoding of a text, given its first bytes.

    Without a mark, the zero bytes of the first two characters decide. These characters are ASCII in
    a heading and in JSON (RFC 4627, section 3).

    >>> encoding_of(b"T\0I\0")
    (b'', 'utf-16-le')
    """
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return mark, encoding
    return b"", _BY_ZEROS.get(bytes(map(bool, first[:4])), "utf-8")


def as_utf8(file: BufferedReader, name: str) -> BufferedReader:
    """Return the text of a file as UTF-8, without the byte order mark.

    Bytes that are not UTF-8 are kept, so that the numbers of a text in Latin-1 can be read. Raises
    ScenarioError if UTF-16 or UTF-32 is damaged.
    """
    mark, encoding = encoding_of(file.peek(4))
    file.read(len(mark))
    return (
        file
        if encoding == "utf-8"
        else cast(BufferedReader, BufferedReader(_Recoded(file, encoding, name)))
    )


class _Recoded(RawIOBase):
    """Text of a file, converted from another encoding to UTF-8."""

    def __init__(self, file: BufferedReader, encoding: str, name: str) -> None:
        self._file, self._encoding, self._name = file, encoding, name
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._ends = 0  # of lines so far

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Copy the bytes that are ready into the buffer; return the number of bytes."""
        while not self._ready:
            data = self._file.read1(_AT_A_TIME)
            try:
                self._ready = self._decoder.decode(data, final=not data).encode()
            except UnicodeError as fault:
                raise ScenarioError.at(
                    f"{self._name}:{self._ends + 1}",
                    f"is damaged {self._encoding.upper()} text: {getattr(fault, 'reason', fault)}; expected UTF-8",
                ) from fault
            self._ends += self._ready.count(b"\n")
            if not data:
                break
        some, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)
