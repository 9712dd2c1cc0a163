"""Folders and archives of traces: tar files, packed or not, and zip files with several tables."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.documents import TraceDocument, documents_of_file, whole_text
from cluster_sim.workload.traces.file_kinds import only_table, packing_of
from cluster_sim.workload.traces.files import as_text, opened, text_bytes, unreadable
from cluster_sim.workload.traces.packing import (
    UNREADABLE,
    is_hidden,
    refuse_packed,
    unpacked,
    zip_files,
)
from cluster_sim.workload.traces.single_tables import only_in_tar, starts_as_tar

_DOCUMENTS = tuple(
    ending + packed
    for ending in (".json", ".jsonl")
    for packed in ("", ".gz", ".zst", ".xz", ".bz2", ".zip")
)
"""Endings of the names of JSON files, packed or not; the packing follows from the first bytes."""


def is_archive(path: str | Path) -> bool:
    """Return whether a path is a folder, a tar archive, packed or not, or a zip of several tables.

    An archive with one table is not an archive in this sense, but is read like the table.
    """
    root = Path(path)
    try:
        if root.is_dir():
            return True
        if _is_zip(root):
            with zip_files(root) as (entries, _):
                return len(entries) > 1 and only_table([own.filename for own in entries]) is None
        with unpacked(root) as file:
            return starts_as_tar(file) and only_in_tar(root) is None
    except (*UNREADABLE, ScenarioError):  # The reader of the file reports the fault.
        return False


def names(path: str | Path) -> list[str]:
    """Return the names of all files in a folder or archive.

    Raises ScenarioError if the path cannot be read.
    """
    root = Path(path)
    if root.is_dir():
        return [str(file) for file in root.rglob("*")]
    try:
        if _is_zip(root):
            with zip_files(root) as (entries, _):
                return [entry.filename for entry in entries]
        with _tar(root) as archive:
            return [entry.name for entry in archive]
    except UNREADABLE as fault:
        raise unreadable(path, fault) from fault


def members(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every file: of a folder by name, of an archive in its order.

    Raises ScenarioError if a file cannot be read.
    """
    root = Path(path)
    if root.is_dir():
        for path_ in sorted(root.rglob("*")):
            if path_.is_file() and not path_.name.startswith("."):
                with opened(path_) as text:
                    yield str(path_), whole_text(text, str(path_))
        return
    try:
        for name, file in _files(root):
            where = f"{root}({name})"
            refuse_packed(file, where, "an archive")
            with as_text(text_bytes(file, where)) as text:
                yield where, whole_text(text, where)
    except UNREADABLE as fault:
        raise unreadable(path, fault) from fault


def documents(path: str) -> Iterator[TraceDocument]:
    """Yield the JSON documents of a trace.

    Documents are the files of a folder or archive, the lines of a file, or a whole file. Raises
    ScenarioError if a folder or archive has no JSON file.
    """
    if is_archive(path):
        count = 0
        for name, text in members(path):
            if name.rstrip(")").endswith(_DOCUMENTS):
                count += 1
                yield TraceDocument(name, 1, text)
        if not count:
            raise ScenarioError.at(
                path,
                "has no requests: no file in it ends with .json or .jsonl; expected sessions of weka or clients of servegen",
            )
        return
    yield from documents_of_file(path)


def _files(root: Path) -> Iterator[tuple[str, BufferedReader]]:
    """Yield (name, bytes) of every file in an archive, in the order of the archive.

    Another order would need to unpack a packed archive several times.
    """
    if _is_zip(root):
        with zip_files(root) as (entries, opened_entry):
            for zipped in entries:
                with opened_entry(zipped) as file:
                    yield zipped.filename, file
        return
    with _tar(root) as archive:
        for entry in archive:
            data: Any = archive.extractfile(entry) if entry.isfile() else None
            if data is not None and not is_hidden(entry.name):
                yield entry.name, data


@contextmanager
def _tar(root: Path) -> Iterator[tarfile.TarFile]:
    """Yield a tar archive for one pass from its beginning."""
    with unpacked(root) as file, tarfile.open(fileobj=file, mode="r|") as archive:
        yield archive


def _is_zip(root: Path) -> bool:
    with open(root, "rb") as file:
        return packing_of(file.read(4)) == "zip"
