"""Downloads of untrusted files: by https from one host, with limits of size, safely unpacked."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from cluster_sim.errors import ScenarioError, shown

SCHEMES = ("https",)
MAX_BYTES = 4 * 10**9
"""Maximum size of a download [bytes]."""
MAX_UNPACKED_BYTES = 20 * 10**9
"""Maximum total size of unpacked files [bytes]."""
_MOST_REDIRECTS = 5
_TIMEOUT_S = 60.0
_AT_A_TIME = 1 << 20  # bytes


def download(url: str, file: IO[bytes], size_bytes: int | None = None) -> None:
    """Download an address into a file.

    Parameters
    ----------
    url
        Address, which must begin with https.
    file
        File, open for writing.
    size_bytes
        Published size [bytes]; None if it is unknown.

    Raises
    ------
    ScenarioError
        If the address is not https, leads to another host, or sends another number of bytes than
        announced.
    OSError
        If the server does not answer, or answers with a fault.
    """
    import requests

    asked = url
    for _ in range(_MOST_REDIRECTS + 1):
        _check_address(asked, url)
        # No compression in transit, so that sizes are those of the file.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(
            asked, headers=headers, stream=True, allow_redirects=False, timeout=_TIMEOUT_S
        ) as answer:
            if answer.is_redirect:
                asked = urljoin(asked, answer.headers["location"])
                continue
            answer.raise_for_status()
            _check_size(url, _announced_bytes(answer), size_bytes)
            _save(url, answer, file, size_bytes)
            return
    raise ScenarioError.at(url, f"redirects more than {_MOST_REDIRECTS} times")


def _check_address(asked: str, url: str) -> None:
    """Raise ScenarioError for an address with another scheme or another host."""
    scheme, host = urlsplit(asked).scheme, urlsplit(asked).netloc
    if scheme not in SCHEMES:
        raise ScenarioError.at(url, f"leads to {shown(asked)}; expected https")
    if host != urlsplit(url).netloc:
        raise ScenarioError.at(
            url, f"redirects to another host, {shown(host)}; expected {urlsplit(url).netloc}"
        )


def _announced_bytes(answer: Any) -> int | None:
    """Return the size that an answer announces [bytes]; None if it announces no size."""
    announced = answer.headers.get("content-length", "")
    is_plain = answer.headers.get("content-encoding", "identity") == "identity"
    return int(announced) if is_plain and announced.isdecimal() else None


def _check_size(url: str, found: int | None, size_bytes: int | None) -> None:
    """Raise ScenarioError if a size [bytes] differs from the published size, or is too large."""
    if found is not None and size_bytes is not None and found != size_bytes:
        raise ScenarioError.at(
            url, f"has {found:,} bytes; expected {size_bytes:,}, the published size"
        )
    if found is not None and found > MAX_BYTES:
        raise ScenarioError.at(url, f"has {found:,} bytes; expected at most {MAX_BYTES:,}")


def _save(url: str, answer: Any, file: IO[bytes], size_bytes: int | None) -> None:
    """Write an answer into a file, and refuse one that is longer or shorter than announced."""
    received = 0
    most = MAX_BYTES if size_bytes is None else size_bytes
    for data in answer.iter_content(_AT_A_TIME):
        received += len(data)
        if received > most:
            raise ScenarioError.at(url, f"sends more than {most:,} bytes")
        file.write(data)
    expected = _announced_bytes(answer) if size_bytes is None else size_bytes
    if expected is not None and received != expected:
        raise ScenarioError.at(
            url, f"cannot be fetched: {received:,} of {expected:,} bytes arrived; try again"
        )


def unpack(archive: Path, folder: str, into: Path) -> None:
    """Unpack one folder of a tar archive below `into`, completely or not at all.

    Other entries of the archive are ignored.

    Raises
    ------
    ScenarioError
        If an entry lies outside the archive's folder, if an entry of the folder is neither a file nor
        a folder, if there is no such folder, or if it is too large.
    tarfile.TarError
        If the file is not a tar archive.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=into.parent) as making:
        unpacked_bytes = 0
        for entry, data in _files(archive, PurePosixPath(folder)):
            unpacked_bytes += entry.size
            if unpacked_bytes > MAX_UNPACKED_BYTES:
                raise ScenarioError.at(
                    f"{archive}", f"unpacks to more than {MAX_UNPACKED_BYTES:,} bytes"
                )
            path = Path(making, entry.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(data, file, _AT_A_TIME)
        if not Path(making, folder).is_dir():
            raise ScenarioError.at(f"{archive}", f"has no folder {shown(folder)}")
        target = into / folder
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(making, folder).rename(target)


def _files(archive: Path, folder: PurePosixPath) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Yield the files of a folder of an archive. Raises ScenarioError for unsafe entries."""
    with tarfile.open(archive) as entries:
        for entry in entries:
            path, where = PurePosixPath(entry.name), f"{archive}({entry.name})"
            if path.is_absolute() or ".." in path.parts or "\\" in entry.name or "\0" in entry.name:
                raise ScenarioError.at(
                    where, "lies outside the folder of the archive; expected files inside it"
                )
            if not path.is_relative_to(folder) or entry.isdir():
                continue
            if entry.issym() or entry.islnk():
                raise ScenarioError.at(where, "is a link; expected only files")
            data = entries.extractfile(entry) if entry.isfile() else None
            if data is None:
                raise ScenarioError.at(where, "is neither file nor folder; expected only files")
            yield entry, data
