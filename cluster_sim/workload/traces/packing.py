"""Packed files: they are recognised by their first bytes, and unpacked while read, within limits."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, FileIO, RawIOBase
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, cast

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.file_kinds import UNPACK, only_table, packing_of, refuse_unread

UNREADABLE = (
    OSError,
    EOFError,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    struct.error,
)
"""Errors of files that are missing, or packed but damaged."""
MAX_UNPACKED_BYTES = 64_000_000_000
"""Maximum unpacked size of a file [bytes]: half a billion rows, more than memory can hold."""
MAX_RATIO = 250
"""Maximum ratio of the unpacked size to the packed size.

The ratio of published traces is 2 to 53, and that of rows with equal gaps 28 to 188. The ratio of
gzip is at most 1,032; the other packings reach about 10,000 for equal rows.
"""
RATIO_FREE_BYTES = 64_000_000
"""Unpacked size up to which any ratio is allowed [bytes]: the work of about one second."""
_AT_A_TIME = 1 << 16  # bytes


class UnpackLimit:
    """Counter of the unpacked bytes of a file.

    Parameters
    ----------
    path
        Path of the packed file.
    packing
        Name of the packing.
    packed_bytes
        Function that returns the number of packed bytes read so far, so that a zip bomb is refused at
        its beginning, whatever its size.
    """

    def __init__(self, path: str | Path, packing: str, packed_bytes: Callable[[], int]) -> None:
        self._path, self._packing, self._packed_bytes = str(path), packing, packed_bytes
        self._bytes = 0

    def count(self, size_bytes: int) -> None:
        """Add a number of unpacked bytes. Raises ScenarioError if the total is too large."""
        self._bytes += size_bytes
        if self._bytes <= RATIO_FREE_BYTES:
            return
        packed_bytes = self._packed_bytes()
        if self._bytes > MAX_RATIO * packed_bytes:
            self._refuse(packed_bytes, f"{MAX_RATIO} times as much")
        if self._bytes > MAX_UNPACKED_BYTES:
            self._refuse(packed_bytes, f"{MAX_UNPACKED_BYTES / 1e9:g} GB")

    def _refuse(self, packed_bytes: int, most: str) -> NoReturn:
        raise ScenarioError.at(
            self._path,
            f"got {self._bytes / 1e6:,.0f} MB out of {packed_bytes / 1e6:,.3g} MB of {self._packing}; expected at most {most}: if this is intended, unpack it ({UNPACK[self._packing]}) and name the resulting file",
        )


class _Unpacked(RawIOBase):
    """Unpacked bytes of a file, which are counted."""

    def __init__(self, file: Any, limit: UnpackLimit) -> None:
        self._file, self._limit = file, limit

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Copy the next bytes into the buffer; return their number."""
        filled = 0
        while filled < len(buffer) and (data := self._file.read1(len(buffer) - filled)):
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        self._limit.count(filled)
        return filled

    def close(self) -> None:
        """Close the packed file."""
        self._file.close()
        super().close()


def _buffered(file: RawIOBase) -> BufferedReader:
    return cast(BufferedReader, BufferedReader(file, _AT_A_TIME))


@contextmanager
def unpacked(path: str | Path) -> Iterator[BufferedReader]:
    """Yield the bytes of a file, unpacked if it is packed.

    Raises ScenarioError beyond the limits, for a kind of file that cannot be read, and for a file
    that is packed twice. Raises one of UNREADABLE if the file is missing or damaged.
    """
    with _buffered(FileIO(path)) as file:
        first = file.peek(16)
        refuse_unread(first, str(path))
        packing = packing_of(first)
        if packing is None:
            yield file
        elif packing == "zip":
            with _only_zipped(path) as inside:
                yield inside
        else:
            limit = UnpackLimit(path, packing, file.tell)
            with _buffered(_Unpacked(_OPENERS[packing](file), limit)) as inside:
                refuse_packed(inside, str(path), packing)
                yield inside


@contextmanager
def _only_zipped(path: str | Path) -> Iterator[BufferedReader]:
    """Yield the bytes of the only file, or the only table, of a zip file."""
    with zip_files(path) as (entries, opened):
        table_name = only_table([entry.filename for entry in entries])
        if table_name is None:
            raise ScenarioError.at(
                str(path),
                f"is a zip of {len(entries)} files; expected one file: unpack it and name one of them",
            )
        with opened(next(entry for entry in entries if entry.filename == table_name)) as inside:
            refuse_packed(inside, f"{path}({table_name})", "zip")
            yield inside


def _xz(file: BufferedReader) -> Any:
    return lzma.open(file, format=lzma.FORMAT_XZ)


def _zstd(file: BufferedReader) -> Any:
    """Return the unpacked bytes of a zstd file; its windows may have 128 MB."""
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file), "zstd")


_OPENERS: dict[str, Callable[[BufferedReader], Any]] = {
    "gzip": gzip.open,
    "zstd": _zstd,
    "xz": _xz,
    "bz2": bz2.open,
}
"""Functions that open a file, by packing except zip; they read all concatenated streams."""


def refuse_packed(file: BufferedReader, where: str, outside: str) -> None:
    """Raise ScenarioError if a file inside a packed file or archive is itself packed."""
    first = file.peek(16)
    command = f" ({UNPACK[outside]})" if outside in UNPACK else ""
    if first.startswith(b"PAR1"):
        raise ScenarioError.at(
            where,
            f"is Parquet inside {outside}; expected plain Parquet, which is packed already: unpack it{command}",
        )
    inside = packing_of(first)
    if inside is not None:
        raise ScenarioError.at(
            where, f"is {inside} inside {outside}; expected one packing: unpack it{command}"
        )


@contextmanager
def zip_files(
    path: str | Path,
) -> Iterator[tuple[list[zipfile.ZipInfo], Callable[[zipfile.ZipInfo], BufferedReader]]]:
    """Yield the entries of a zip file, and a function that opens one; nothing is written to disk.

    Raises ScenarioError for files that are encrypted, or packed by an unusual method.
    """
    with zipfile.ZipFile(path) as archive:
        entries = [
            entry
            for entry in archive.infolist()
            # zipfile's is_dir fails for an empty name, as a damaged directory may have
            if not entry.filename.endswith("/") and not is_hidden(entry.filename)
        ]
        if any(entry.filename == "[Content_Types].xml" for entry in entries):
            refuse_unread(b"\xd0\xcf\x11\xe0", str(path))
        for entry in entries:
            _refuse_zipped(entry, f"{path}({entry.filename})")
        limit = UnpackLimit(path, "zip", partial(os.path.getsize, path))
        limit.count(sum(entry.file_size for entry in entries))  # no entry exceeds its stated size
        yield entries, lambda entry: cast(BufferedReader, archive.open(entry))


def _refuse_zipped(entry: zipfile.ZipInfo, where: str) -> None:
    """Raise ScenarioError for an entry of a zip file that cannot be read in small parts."""
    if entry.flag_bits & 1:
        raise ScenarioError.at(
            where, "is encrypted; expected a zip without a password: unpack it (unzip)"
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ScenarioError.at(
            where,
            f"is packed by method {entry.compress_type} of zip; expected deflate (8) or stored (0): unpack it (unzip)",
        )


def is_hidden(name: str) -> bool:
    """Return whether a file of a folder or archive is hidden metadata, such as macOS adds."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts
