"""Archives with one table, which are read like the table."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, cast

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.file_kinds import only_table, tables
from cluster_sim.workload.traces.packing import is_hidden, refuse_packed, unpacked

_TAR_BLOCK_BYTES = 512
_AT_A_TIME = 1 << 16  # bytes


class _Inside(RawIOBase):
    """Bytes of a file in a tar archive, without seeking."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Copy the next bytes into the buffer; return their number."""
        filled: int = self._file.readinto(buffer)
        return filled


@contextmanager
def table_bytes(path: str | Path) -> Iterator[BufferedReader]:
    """Yield the unpacked bytes of a file, or of the only table in a tar archive.

    Raises the errors of `unpacked`, and ScenarioError for an archive of several tables.
    """
    with unpacked(path) as file:
        if not starts_as_tar(file):
            yield file
            return
        table_name = only_in_tar(path)
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for entry in archive:
                if entry.name == table_name:
                    inside: Any = archive.extractfile(entry)
                    refuse_packed(inside, f"{path}({table_name})", "an archive")
                    yield cast(BufferedReader, BufferedReader(_Inside(inside), _AT_A_TIME))
                    return
    raise ScenarioError.at(
        str(path),
        "is an archive of several files; expected one file: unpack it and name one of them",
    )


def only_in_tar(path: str | Path) -> str | None:
    """Return the name of the only table of a tar archive; None otherwise."""
    about = Path(path).stat()
    return _only_in_tar(str(path), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=64)
def _only_in_tar(path: str, changed_ns: int, size_bytes: int) -> str | None:
    """Return the result of `only_in_tar`; time and size identify the version of the file."""
    names: list[str] = []
    with unpacked(path) as file:
        if not starts_as_tar(file):
            return None
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for entry in archive:
                if entry.isfile() and not is_hidden(entry.name):
                    names.append(entry.name)
                if len(tables(names)) > 1:
                    return None
    return only_table(names)


def starts_as_tar(file: BufferedReader) -> bool:
    """Return whether a file begins with a header of a tar archive, or with its end."""
    some = file.peek(_TAR_BLOCK_BYTES)
    try:
        tarfile.TarInfo.frombuf(some[:_TAR_BLOCK_BYTES], "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        return len(some) <= tarfile.RECORDSIZE  # an empty archive, not a file full of zeros
    except tarfile.HeaderError:
        return False
    return True
