"""Kinds of files by their first bytes: packed files, and files that cannot be traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster_sim.errors import ScenarioError

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
"""Descriptions of files that cannot be read, by their first bytes."""
UNPACK = {
    "gzip": "gzip -d",
    "zstd": "zstd -d",
    "xz": "xz -d",
    "bz2": "bzip2 -d",
    "zip": "unzip",
}
"""Commands that unpack a file, by packing."""
_PACKINGS = "gzip, zstd, xz, bz2 or zip"
"""Supported packings, for messages."""

_TABLE_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_PACKED_ENDINGS = (".gz", ".zst", ".xz", ".bz2", ".zip")


def tables(names: Iterable[str]) -> list[str]:
    """Return the names that have the ending of a table, packed or not."""
    return [name for name in names if _unpacked_name(name.casefold()).endswith(_TABLE_ENDINGS)]


def _unpacked_name(name: str) -> str:
    return next((name.removesuffix(own) for own in _PACKED_ENDINGS if name.endswith(own)), name)


def only_table(names: Sequence[str]) -> str | None:
    """Return the only table, or the only file, of an archive; None if there are several.

    >>> only_table(["a.csv", "README.txt"]), only_table(["log"]), only_table(["a.csv", "b.json"])
    ('a.csv', 'log', None)
    """
    own = names if len(names) == 1 else tables(names)
    return own[0] if len(own) == 1 else None


def packing_of(first: bytes) -> str | None:
    """Return the packing of a file, given its first bytes; None if it is not packed."""
    if first[1:4] == b"\x2a\x4d\x18" and first[0] >> 4 == 5:  # a skippable frame, as of pzstd
        return "zstd"
    return next((name for name, own in _FIRST_BYTES.items() if first.startswith(own)), None)


def refuse_unread(first: bytes, where: str) -> None:
    """Raise ScenarioError if the first bytes are those of a file that cannot be read."""
    kind = next((kind for own, kind in _OTHERS.items() if first.startswith(own)), None)
    if kind is not None:
        raise ScenarioError.at(
            where,
            f"is {kind}; expected CSV, JSON or Parquet, or CSV or JSON packed by {_PACKINGS}",
        )
