"""Functions that open recorded traces as texts, whatever their packing and encoding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, TextIOWrapper
from pathlib import Path
from typing import IO, Any

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.encodings import as_utf8
from cluster_sim.workload.traces.line_guard import LineGuard
from cluster_sim.workload.traces.packing import UNREADABLE
from cluster_sim.workload.traces.single_tables import table_bytes


@contextmanager
def opened_bytes(path: str | Path, *, has_lines: bool = True) -> Iterator[BufferedIOBase]:
    """Yield the text of a file as UTF-8 bytes, unpacked and without a byte order mark.

    Raises ScenarioError if the file cannot be read or is too large when unpacked. Unless the file is
    read as a whole (`has_lines` false), also if a line is too long or has a NUL byte.
    """
    try:
        with table_bytes(path) as file:
            yield text_bytes(file, str(path), has_lines=has_lines)
    except UNREADABLE as fault:
        raise unreadable(path, fault) from fault


def text_bytes(file: BufferedReader, name: str, *, has_lines: bool = True) -> BufferedIOBase:
    """Return the text of an open file as UTF-8 bytes, see `opened_bytes`."""
    text = as_utf8(file, name)
    return LineGuard(text, name) if has_lines else text


@contextmanager
def opened(path: str | Path, *, has_lines: bool = True) -> Iterator[IO[str]]:
    """Yield the text of a file; see `opened_bytes` for parameters and faults.

    Lines may end with a line feed, a carriage return or both; the ends are kept. Bytes that are not
    UTF-8 become replacement characters.
    """
    with opened_bytes(path, has_lines=has_lines) as file, as_text(file) as text:
        yield text


def as_text(file: BufferedIOBase) -> TextIOWrapper:
    """Return the text of UTF-8 bytes, see `opened`."""
    utf8: Any = file
    return TextIOWrapper(utf8, encoding="utf-8", errors="replace", newline="")


def unreadable(path: str | Path, fault: Exception) -> ScenarioError:
    """Return the error of a file that is missing or damaged."""
    if reason := getattr(fault, "strerror", None):
        return ScenarioError.at(str(path), f"cannot be read: {reason.lower()}")
    reason = str(fault).lower() or "no reason given"
    return ScenarioError.at(
        str(path),
        f"cannot be read: {reason}; expected a complete file: copy it again, or unpack it by hand",
    )
