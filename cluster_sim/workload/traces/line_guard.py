"""Limit of the length of lines, so that no file is read into memory as one line."""

from __future__ import annotations

from io import BufferedIOBase
from typing import NoReturn, Protocol

from cluster_sim.errors import ScenarioError

MAX_LINE_BYTES = 64_000_000
"""Maximum length of a line [bytes]."""
_AT_A_TIME = 1 << 16  # bytes
_MOST_AT_A_TIME = 1 << 20  # bytes


class _Bytes(Protocol):
    """File of bytes, packed or not."""

    def read1(self, size: int = -1, /) -> bytes: ...


class LineGuard(BufferedIOBase):
    """Unchanged bytes of a text; reading raises ScenarioError at a long line or a NUL byte.

    Parameters
    ----------
    file
        File, open for reading.
    name
        Name of the file, for messages.
    """

    def __init__(self, file: _Bytes, name: str) -> None:
        self._file, self._name = file, name
        self._ends = 0  # number of line ends so far
        self._bytes = 0  # bytes of the current line

    def readable(self) -> bool:
        """Return True."""
        return True

    def read1(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; no bytes at the end."""
        data = self._file.read1(size if size >= 0 else _AT_A_TIME)
        if 0 in data:
            self._refuse_nul(data)
        last = data.rfind(b"\n")
        if last < 0 and (last := data.rfind(b"\r")) < 0:
            self._bytes += len(data)
            if self._bytes > MAX_LINE_BYTES:
                self._refuse_length()
        else:
            self._ends += _ends(data)
            self._bytes = len(data) - last - 1
        return data

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next `size` bytes, or all remaining bytes."""
        left = size if size is not None and size >= 0 else 1 << 62
        parts: list[bytes] = []
        while left and (data := self.read1(min(left, _MOST_AT_A_TIME))):
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def _refuse_nul(self, data: bytes) -> NoReturn:
        line = self._ends + 1 + _ends(data[: data.index(0)])
        raise ScenarioError.at(
            f"{self._name}:{line}", "has a NUL byte, which texts never have; expected CSV or JSON"
        )

    def _refuse_length(self) -> NoReturn:
        raise ScenarioError.at(
            f"{self._name}:{self._ends + 1}",
            f"has more than {MAX_LINE_BYTES / 1e6:.0f} MB in one line; expected one line per request",
        )


def _ends(data: bytes) -> int:
    """Return the number of line ends: line feeds, or carriage returns if there are no line feeds."""
    return data.count(b"\n") or data.count(b"\r")
