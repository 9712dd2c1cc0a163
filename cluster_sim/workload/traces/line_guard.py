"""Bytes of a trace whose lines have a limit, so that no file is read into memory as one line."""

from __future__ import annotations

from io import BufferedIOBase
from typing import Protocol

from cluster_sim.errors import ScenarioError

MAX_LINE_BYTES = 64_000_000
"""Greatest length of a line [B]."""
_AT_A_TIME = 1 << 16  # bytes


class _Bytes(Protocol):
    """File, packed or not."""

    def read1(self, size: int = -1, /) -> bytes: ...


class LineGuard(BufferedIOBase):
    """Bytes of a file as they are; ScenarioError at the line that is too long.

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
        last = data.rfind(b"\n")
        if last < 0:
            self._bytes += len(data)
            if self._bytes > MAX_LINE_BYTES:
                self._refuse()
        else:
            self._ends += data.count(b"\n")
            self._bytes = len(data) - last - 1
        return data

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next `size` bytes, or all that are left."""
        if size is not None and size >= 0:
            return self.read1(size)
        return b"".join(iter(lambda: self.read1(_AT_A_TIME), b""))

    def _refuse(self) -> None:
        raise ScenarioError.at(
            f"{self._name}:{self._ends + 1}",
            f"has more than {MAX_LINE_BYTES / 1e6:.0f} MB in one line; expected a line for each request",
        )
