"""Packed files: known by their first bytes, and unpacked as they are read, within limits."""

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
"""Greatest size of what a packed file holds [B]: half a billion rows, more than memory holds."""
MAX_RATIO = 250
"""Greatest size of what a packed file holds, as a multiple of its own size.

Published traces pack 2 to 53 times, and rows that differ by even gaps alone 28 to 188 times; gzip
packs anything 1,032 times at most, and the others pack equal rows some 10,000 times.
"""
RATIO_FREE_BYTES = 64_000_000
"""Size up to which what a packed file holds may be any multiple of its own [B]: a second's work."""
_AT_A_TIME = 1 << 16  # bytes


class UnpackLimit:
    """Count of the bytes that come out of a packed file.

    Parameters
    ----------
    path
        Packed file.
    packing
        What packed it.
    packed_bytes
        What returns the packed bytes that were read so far [B], so that a bomb is refused at its
        beginning, however large it is.
    """

    def __init__(self, path: str | Path, packing: str, packed_bytes: Callable[[], int]) -> None:
        self._path, self._packing, self._packed_bytes = str(path), packing, packed_bytes
        self._bytes = 0

    def count(self, size_bytes: int) -> None:
        """Add bytes that came out; raise ScenarioError where they are too many."""
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
            f"got {self._bytes / 1e6:,.0f} MB out of {packed_bytes / 1e6:,.3g} MB of {self._packing}; expected at most {most}: where it is meant, unpack it ({UNPACK[self._packing]}) and name the file that results",
        )


class _Unpacked(RawIOBase):
    """Bytes that come out of a packed file, counted."""

    def __init__(self, file: Any, limit: UnpackLimit) -> None:
        self._file, self._limit = file, limit

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, as far as there are bytes; return how many these are."""
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
    """Yield the bytes of a file, unpacked where it is packed.

    Raises ScenarioError beyond the limits, for a kind of file that is not read, and for what is
    packed twice; one of UNREADABLE where it is missing or damaged.
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
    """Yield the bytes of the only file, or the only table, of a zip."""
    with zip_files(path) as (entries, opened):
        wanted = only_table([entry.filename for entry in entries])
        if wanted is None:
            raise ScenarioError.at(
                str(path), f"is a zip of {len(entries)} files; expected one file"
            )
        with opened(next(entry for entry in entries if entry.filename == wanted)) as inside:
            refuse_packed(inside, f"{path}({wanted})", "zip")
            yield inside


def _xz(file: BufferedReader) -> Any:
    return lzma.open(file, format=lzma.FORMAT_XZ)


def _zstd(file: BufferedReader) -> Any:
    """Return the bytes of a file packed by zstd; its windows may be 128 MB long."""
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file), "zstd")


_OPENERS: dict[str, Callable[[BufferedReader], Any]] = {
    "gzip": gzip.open,
    "zstd": _zstd,
    "xz": _xz,
    "bz2": bz2.open,
}
"""What opens a file of each packing, but for zip; all read one stream behind another."""


def refuse_packed(file: BufferedReader, where: str, outside: str) -> None:
    """Raise ScenarioError where a file inside a packed one, or an archive, is packed itself."""
    first = file.peek(16)
    command = f" ({UNPACK[outside]})" if outside in UNPACK else ""
    if first.startswith(b"PAR1"):
        raise ScenarioError.at(
            where,
            f"is Parquet inside {outside}; expected Parquet as it is, which packs its columns: unpack it{command}",
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
    """Yield the files of a zip, and what opens one; nothing is written, whatever their names.

    Raises ScenarioError for files that are encrypted, or packed in a way other than the usual.
    """
    with zipfile.ZipFile(path) as archive:
        entries = [
            entry
            for entry in archive.infolist()
            # is_dir of zipfile fails for a name without characters, as in a damaged directory
            if not entry.filename.endswith("/") and not is_hidden(entry.filename)
        ]
        if any(entry.filename == "[Content_Types].xml" for entry in entries):
            refuse_unread(b"\xd0\xcf\x11\xe0", str(path))
        for entry in entries:
            _refuse_zipped(entry, f"{path}({entry.filename})")
        limit = UnpackLimit(path, "zip", partial(os.path.getsize, path))
        limit.count(sum(entry.file_size for entry in entries))  # no file gives more than it says
        yield entries, lambda entry: cast(BufferedReader, archive.open(entry))


def _refuse_zipped(entry: zipfile.ZipInfo, where: str) -> None:
    """Raise ScenarioError for a file of a zip that cannot be read in small parts."""
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
    """Return whether a file of a folder or archive is none of its content, as macOS adds them."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts
