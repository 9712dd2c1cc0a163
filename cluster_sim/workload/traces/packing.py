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
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePosixPath
from typing import Any, cast

from cluster_sim.errors import ScenarioError

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

Traces pack 4 to 30 times, and files of equal rows 100 to 200 times; gzip packs zeros 1,030 times,
and the others pack them some 10,000 times.
"""
RATIO_FREE_BYTES = 200_000_000
"""Size up to which what a packed file holds may be any multiple of its own [B]: it takes no time."""
_AT_A_TIME = 1 << 16  # bytes

_FIRST_BYTES = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "xz": b"\xfd7zXZ\0",
    "bz2": b"BZh",
    "zip": b"PK\3\4",
}
"""First bytes of each packing (RFC 1952, RFC 8878, the formats of xz and bzip2, APPNOTE.TXT)."""
_OTHERS = {
    b"PK\5\6": "an empty zip",
    b"7z\xbc\xaf": "packed by 7-Zip",
    b"\x04\x22\x4d\x18": "packed by LZ4",
    b"Rar!": "packed by RAR",
    b"\x1f\x9d": "packed by compress",
    b"\x5d\0\0": "packed by the older lzma",
    b"\xff\x06\0\0sNaP": "packed by Snappy",
    b"SQLite format 3\0": "an SQLite database",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"Obj\1": "an Avro file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF-": "a PDF document",
}
"""First bytes of files that are not read, and what they are."""
_UNPACK = {
    "gzip": "gzip -d",
    "zstd": "zstd -d",
    "xz": "xz -d",
    "bz2": "bzip2 -d",
    "zip": "unzip",
}
"""Commands that unpack a file."""
PACKINGS = "gzip, zstd, xz, bz2 or zip"
"""Packings that are read, for messages."""


def packing_of(first: bytes) -> str | None:
    """Return what packed a file that begins so; None where nothing did that is known here."""
    if first[1:4] == b"\x2a\x4d\x18" and first[0] >> 4 == 5:  # a frame to skip, as pzstd writes it
        return "zstd"
    return next((name for name, own in _FIRST_BYTES.items() if first.startswith(own)), None)


def refuse_unread(first: bytes, where: str) -> None:
    """Raise ScenarioError for the first bytes of a file of a kind that is not read."""
    kind = next((kind for own, kind in _OTHERS.items() if first.startswith(own)), None)
    if kind is not None:
        raise ScenarioError.at(
            where,
            f"is {kind}; expected CSV, JSON or Parquet, or CSV or JSON packed by {PACKINGS}",
        )


class UnpackLimit:
    """Count of the bytes that come out of a packed file.

    Parameters
    ----------
    path
        Packed file.
    packing
        What packed it.
    """

    def __init__(self, path: str | Path, packing: str) -> None:
        self._path, self._packing = str(path), packing
        self._packed_bytes = os.path.getsize(path)
        self._most_bytes = min(
            max(MAX_RATIO * self._packed_bytes, RATIO_FREE_BYTES), MAX_UNPACKED_BYTES
        )
        self._bytes = 0

    def count(self, size_bytes: int) -> None:
        """Add bytes that came out; raise ScenarioError where they are too many."""
        self._bytes += size_bytes
        if self._bytes <= self._most_bytes:
            return
        most = (
            f"{MAX_UNPACKED_BYTES / 1e9:g} GB"
            if self._most_bytes == MAX_UNPACKED_BYTES
            else f"{MAX_RATIO} times its size beyond {RATIO_FREE_BYTES / 1e6:g} MB"
        )
        raise ScenarioError.at(
            self._path,
            f"got more than {self._most_bytes / 1e6:,.0f} MB out of {self._packed_bytes / 1e6:,.3g} MB of {self._packing}; expected at most {most}; where it is meant, unpack it ({_UNPACK[self._packing]}) and name the file that results",
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


def _counted(file: Any, limit: UnpackLimit) -> BufferedReader:
    return cast(BufferedReader, BufferedReader(_Unpacked(file, limit), _AT_A_TIME))


@contextmanager
def unpacked(path: str | Path) -> Iterator[BufferedReader]:
    """Yield the bytes of a file, unpacked where it is packed.

    Raises ScenarioError beyond the limits, for a kind of file that is not read, and for what is
    packed twice; one of UNREADABLE where it is missing or damaged.
    """
    with open(path, "rb") as file:
        first = file.peek(16)
        refuse_unread(first, str(path))
        packing = packing_of(first)
        if packing is None:
            yield file
            return
    if packing == "zip":
        with zip_files(path) as (entries, opened):
            if len(entries) != 1:
                raise ScenarioError.at(
                    str(path), f"is a zip of {len(entries)} files; expected one file"
                )
            with opened(entries[0]) as bytes_:
                refuse_packed(bytes_, f"{path}({entries[0].filename})", packing)
                yield bytes_
        return
    with _counted(_OPENERS[packing](str(path)), UnpackLimit(path, packing)) as bytes_:
        refuse_packed(bytes_, str(path), packing)
        yield bytes_


def _xz(path: str) -> Any:
    return lzma.open(path, format=lzma.FORMAT_XZ)


def _zstd(path: str) -> Any:
    """Return the bytes of a file packed by zstd; its windows may be 128 MB long."""
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(path), "zstd")


_OPENERS: dict[str, Callable[[str], Any]] = {
    "gzip": gzip.open,
    "zstd": _zstd,
    "xz": _xz,
    "bz2": bz2.open,
}
"""What opens a file of each packing, but for zip; all read one stream behind another."""


def refuse_packed(file: BufferedReader, where: str, outside: str) -> None:
    """Raise ScenarioError where a file inside a packed one, or an archive, is packed itself."""
    first = file.peek(16)
    command = f" ({_UNPACK[outside]})" if outside in _UNPACK else ""
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
    limit = UnpackLimit(path, "zip")
    with zipfile.ZipFile(path) as archive:
        entries = [
            entry
            for entry in archive.infolist()
            if not entry.is_dir() and not is_hidden(entry.filename)
        ]
        if any(entry.filename == "[Content_Types].xml" for entry in entries):
            refuse_unread(b"\xd0\xcf\x11\xe0", str(path))
        for entry in entries:
            _refuse_zipped(entry, f"{path}({entry.filename})")
        yield entries, lambda entry: _counted(archive.open(entry), limit)


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
