"""Opening recorded traces: plain and packed files, folders and tar archives."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain
from json import JSONDecoder
from pathlib import Path
from typing import IO, Any, NamedTuple

from orjson import loads

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.line_guard import LineGuard

_UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)
"""Errors of files that are missing, or packed but damaged."""


MAX_DOCUMENT_BYTES = 1_000_000_000
"""Greatest size of a JSON file that is read as a whole, unpacked [B]."""


class TraceDocument(NamedTuple):
    """A JSON document of a trace, and where it stands."""

    file: str
    line: int
    text: str


@contextmanager
def opened_bytes(path: str | Path, *, has_lines: bool = True) -> Iterator[Any]:
    """Yield the bytes of a file, unpacked; see `opened`."""
    try:
        with open(path, "rb") as beginning:
            is_packed = beginning.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_packed else open(path, "rb") as file:
            yield LineGuard(file, str(path)) if has_lines else file
    except _UNREADABLE as fault:
        raise _unreadable(path, fault) from fault


@contextmanager
def opened(path: str | Path, *, has_lines: bool = True) -> Iterator[IO[str]]:
    """Yield the text of a file, unpacked where its first bytes are those of gzip.

    Raises ScenarioError where it cannot be read, and at a line that is too long unless the file is
    read as a whole (`has_lines` false).
    """
    try:
        with open(path, "rb") as beginning:
            is_packed = beginning.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_packed else open(path, "rb") as file:
            guard: Any = LineGuard(file, str(path)) if has_lines else file
            with TextIOWrapper(guard, encoding="utf-8", errors="replace", newline="") as text:
                yield text
    except _UNREADABLE as fault:
        raise _unreadable(path, fault) from fault


def members(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every file in a folder, by name, or in a tar archive, in its order.

    Raises ScenarioError where something cannot be read.
    """
    root = Path(path)
    try:
        if root.is_dir():
            for file in sorted(root.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    with opened(file) as text:
                        yield str(file), text.read()
            return
        with tarfile.open(root) as archive:
            # In its own order: to go back in a packed archive is to unpack it again.
            for entry in archive:
                data: Any = archive.extractfile(entry) if entry.isfile() else None
                if data is not None:
                    name = f"{root}({entry.name})"
                    yield name, LineGuard(data, name).read().decode("utf-8", "replace")
    except _UNREADABLE as fault:
        raise _unreadable(path, fault) from fault


def names(path: str | Path) -> list[str]:
    """Return the names of the files in a folder or tar archive.

    Raises ScenarioError where it cannot be read.
    """
    root = Path(path)
    if root.is_dir():
        return [str(file) for file in root.rglob("*")]
    try:
        with tarfile.open(root) as archive:
            return archive.getnames()
    except _UNREADABLE as fault:
        raise _unreadable(path, fault) from fault


def is_archive(path: str | Path) -> bool:
    """Return whether this is a folder, or a tar archive, packed or not."""
    root = Path(path)
    try:
        return root.is_dir() or tarfile.is_tarfile(root)
    except _UNREADABLE:  # packed, but damaged: whoever reads it says so
        return False


def documents(path: str) -> Iterator[TraceDocument]:
    """Yield the JSON documents of a trace.

    They are the files of a folder or archive, the lines of a file, or the whole of it.
    """
    if is_archive(path):
        for name, text in members(path):
            if name.rstrip(")").endswith((".json", ".jsonl")):
                yield TraceDocument(name, 1, text)
        return
    with opened(path) as file:
        first = file.readline()
        try:
            loads(first)
        except (ValueError, RecursionError):
            yield TraceDocument(path, 1, first + file.read())
            return
        for number, line in enumerate(chain([first], file), start=1):
            if number == 1 or line.strip():
                yield TraceDocument(path, number, line)


def _unreadable(path: str | Path, fault: Exception) -> ScenarioError:
    reason = getattr(fault, "strerror", None) or str(fault) or "no reason given"
    return ScenarioError.at(str(path), f"cannot be read: {reason.lower()}")


def is_parquet(path: str | Path) -> bool:
    """Return whether this is a Parquet file, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def parquet_batches(path: str, rows: int) -> Iterator[list[Any]]:
    """Yield the rows of a Parquet file as mappings, so many at a time.

    Raises ScenarioError where it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows):
                yield batch.to_pylist()
    except (pa.ArrowException, OSError) as fault:
        raise _unreadable(path, fault) from fault


def starts_as_array(path: str | Path) -> bool:
    """Return whether the text of a file starts as a JSON array does."""
    with opened(path) as text:
        while (some := text.read(4096)) and not (start := some.lstrip("\ufeff \t\r\n")):
            pass
    return bool(some) and start[0] == "["


def read_document(path: str | Path) -> Any:
    """Return the value of a JSON file that is read as a whole.

    Raises ScenarioError with the line where it is no JSON, and where it is too large.
    """
    with opened(path, has_lines=False) as text:
        content = text.read(MAX_DOCUMENT_BYTES)
        if text.read(1):
            raise ScenarioError.at(
                str(path),
                f"is one JSON value of more than {MAX_DOCUMENT_BYTES / 1e9:g} GB; expected one object per line",
            )
    try:
        return loads(content.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as fault:
        line = getattr(fault, "lineno", 1)
        raise ScenarioError.at(f"{path}:{line}", f"is no JSON: {fault}") from fault


def array_lines(path: str | Path) -> list[int]:
    """Return the line at which each element of a JSON array starts."""
    with opened(path, has_lines=False) as text:
        content = text.read()
    lines: list[int] = []
    decoder, at, line = JSONDecoder(), content.index("[") + 1, 1
    line += content.count("\n", 0, at)
    while True:
        start = at
        while content[at] in " \t\r\n,":
            at += 1
        line += content.count("\n", start, at)
        if content[at] == "]":
            return lines
        lines.append(line)
        start = at
        _, at = decoder.raw_decode(content, at)
        line += content.count("\n", start, at)


def parquet_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of the columns of a Parquet file.

    Raises ScenarioError where it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as fault:
        raise _unreadable(path, fault) from fault
