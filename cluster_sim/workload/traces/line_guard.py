"""Bytes of a trace whose lines have a limit, so that no file is read into memory as one line."""

from __future__ import annotations

from io import BufferedIOBase
from typing import NoReturn, Protocol

from cluster_sim.errors import ScenarioError

MAX_LINE_BYTES = 64_000_000
"""Greatest length of a line [B]."""
_AT_A_TIME = 1 << 16  # bytes
_MOST_AT_A_TIME = 1 << 20  # bytes


class _Bytes(Protocol):
    """File, packed or not."""

    def read1(self, size: int = -1, /) -> bytes: ...


class LineGuard(BufferedIOBase):
    """Bytes of a text as they are; ScenarioError at a line that is too long or holds a NUL byte.

    Parameters
    ----------
    file
        File, open for reading.
    name
        Name of the file, for messages.
    """

    def __init__(self, file: _Bytes, name: str) -> None:
        self._file, self._name = file, name
        self._ends = 0  # of lines so far
        self._bytes = 0  # of the line under way

    def readable(self) -> bool:
        """Return True."""
        return True

    def read1(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; nothing at the end."""
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
        """Return the next `size` bytes, or all that are left."""
        left = size if size is not None and size >= 0 else 1 << 62
        parts: list[bytes] = []
        while left and (data := self.read1(min(left, _MOST_AT_A_TIME))):
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def _refuse_nul(self, data: bytes) -> NoReturn:
        line = self._ends + 1 + _ends(data[: data.index(0)])
        raise ScenarioError.at(
            f"{self._name}:{line}", "holds a NUL byte, as no text does; expected CSV or JSON"
        )

    def _refuse_length(self) -> NoReturn:
        raise ScenarioError.at(
            f"{self._name}:{self._ends + 1}",
            f"has more than {MAX_LINE_BYTES / 1e6:.0f} MB in one line; expected a line for each request",
        )


def _ends(data: bytes) -> int:
    """Return the number of line ends: line feeds, or carriage returns where there are none."""
    return data.count(b"\n") or data.count(b"\r")
