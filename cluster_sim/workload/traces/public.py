"""Download of public traces from their place of publication, at a pinned commit, with checks."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from tarfile import TarError
from typing import Annotated, Any

from pydantic import Field

from cluster_sim.errors import ScenarioError, did_you_mean, shown
from cluster_sim.schema import Description, catalog_entry, catalog_names
from cluster_sim.typing import Count
from cluster_sim.workload.traces import find_trace
from cluster_sim.workload.traces.download import download, unpack


class PublicTrace(Description):
    """Public trace of the catalog."""

    name: str
    """Name of the trace, for people."""
    url: str
    """Address of a file, or of a tar archive with a folder of traces. The address names a commit, so
    that the content does not change."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the file; None if it is unknown. Then rows or files are counted."""
    bytes: Count | None = None
    """Published size of the file [bytes]; None if it is unknown."""
    folder: str | None = None
    """Folder of the archive; None for a file."""
    rows: Count | None = None
    """Published number of rows of the file."""
    files: Count | None = None
    """Published number of files of the folder."""
    licence: str
    """Licence of the trace, as an SPDX identifier."""
    attribution: str
    """Publication to cite."""

    @property
    def file(self) -> str:
        """Name of the local file; GitHub's archives are named by their commit."""
        name = self.url.rpartition("/")[2]
        return f"{name}.tar.gz" if self.folder and ".tar" not in name else name


def public_traces() -> dict[str, PublicTrace]:
    """Return the public traces of the catalog by name."""
    return {
        name: PublicTrace.model_validate(catalog_entry("traces", name))
        for name in catalog_names("traces")
    }


def public_trace(name: str) -> PublicTrace:
    """Return a public trace of the catalog by name.

    Raises ScenarioError, with the most similar name, if the catalog does not have it.
    """
    if name not in catalog_names("traces"):
        raise ScenarioError.at(
            "fetch", f"no trace {shown(name)}{did_you_mean(name, catalog_names('traces'))}"
        )
    return public_traces()[name]


def fetch(trace: PublicTrace, into: Path) -> Path:
    """Download a public trace if needed, and return the path of its file or folder.

    An existing file is checked like a new one, and downloaded again if its checksum differs.

    Parameters
    ----------
    trace
        Public trace of the catalog, see `public_trace`.
    into
        Folder of downloads.

    Returns
    -------
    Path
        Path of the trace below `into`.

    Raises
    ------
    ScenarioError
        If Pooch is not installed, if the server does not answer, if the address is unsafe, or if the
        content is not the published one; the downloaded file is then removed.
    """
    try:
        import pooch
    except ImportError as fault:
        raise ScenarioError.at(
            "fetch", "needs the package pooch; install it with: pip install 'cluster-sim[traces]'"
        ) from fault
    # Pooch prints hashes of files without a checksum; the command prints the written file instead.
    pooch.get_logger().setLevel("ERROR")
    known_hash = f"sha256:{trace.sha256}" if trace.sha256 else None
    file, unpacked = into / trace.file, into / f"{trace.file}.unpacked"
    path = unpacked / trace.folder if trace.folder else file
    try:
        pooch.retrieve(
            trace.url,
            known_hash,
            fname=trace.file,
            path=into,
            downloader=lambda url, name, _: _download(url, name, trace),
        )
        if trace.folder and not path.is_dir():
            unpack(file, trace.folder, unpacked)
        if not trace.sha256:
            _count(trace, path)
    # Faults of the package requests are OSErrors; ScenarioError is a ValueError.
    except (OSError, EOFError, ValueError, TarError) as fault:
        if not trace.sha256:
            file.unlink(missing_ok=True)
            rmtree(unpacked, ignore_errors=True)
        if isinstance(fault, ScenarioError):
            raise
        raise ScenarioError.at(trace.url, _why(fault, trace)) from fault
    return path


def _download(url: str, name: str, trace: PublicTrace) -> None:
    """Download an address into a file of this name."""
    with open(name, "wb") as file:
        download(url, file, trace.bytes)


def _why(fault: Exception, trace: PublicTrace) -> str:
    answer: Any = getattr(fault, "response", None)
    if answer is not None:
        return f"answers {answer.status_code} {answer.reason}; expected the trace {trace.name}"
    if isinstance(fault, ValueError) and "hash" in str(fault):
        return f"is not the published file; expected the SHA-256 {trace.sha256}"
    if isinstance(fault, TarError):
        return "is not a tar archive"
    return f"cannot be fetched: {shown(getattr(fault, 'strerror', None) or str(fault) or type(fault).__name__)}"


def _count(trace: PublicTrace, path: Path) -> None:
    """Check that a trace without a checksum has the published number of files or rows.

    Raises ScenarioError if the number differs.
    """
    if trace.files is not None:
        count, expected, what = (
            sum(file.is_file() for file in path.rglob("*")),
            trace.files,
            "files",
        )
    elif trace.rows is not None:
        count, expected, what = find_trace(path).check().rows, trace.rows, "rows"
    else:
        return
    if count != expected:
        raise ScenarioError.at(
            trace.url, f"has {count:,} {what}; expected {expected:,}, as published"
        )
