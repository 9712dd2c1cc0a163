"""Public traces, fetched from where they were published at a pinned commit, and checked."""

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
    """One file of the catalog's traces."""

    name: str
    url: str
    """Address of one file, or of a tar archive of which one folder is wanted. It names a commit, so
    that it does not change."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Checksum; None where the whole original was not at hand: then what it holds is counted."""
    bytes: Count | None = None
    """Size of a file, as published [B]; None where it is not known."""
    folder: str | None = None
    """Folder of the archive; None for a file."""
    rows: Count | None = None
    """Number of rows of a file, as published."""
    files: Count | None = None
    """Number of files of the folder."""
    licence: str
    attribution: str
    """Publication to cite."""

    @property
    def file(self) -> str:
        """Name under which it is kept: the file's own; GitHub's archives are named by commit."""
        name = self.url.rpartition("/")[2]
        return f"{name}.tar.gz" if self.folder and ".tar" not in name else name


def public_traces() -> dict[str, PublicTrace]:
    """Return the traces that the catalog names."""
    return {
        name: PublicTrace.model_validate(catalog_entry("traces", name))
        for name in catalog_names("traces")
    }


def public_trace(name: str) -> PublicTrace:
    """Return the trace of this name. Raises ScenarioError where the catalog has none."""
    if name not in catalog_names("traces"):
        raise ScenarioError.at(
            "fetch", f"no trace {shown(name)}{did_you_mean(name, catalog_names('traces'))}"
        )
    return public_traces()[name]


def fetch(trace: PublicTrace, into: Path) -> Path:
    """Return the trace's file, or its folder, below `into`; download it where it is not there yet.

    What is there already is checked as a new one is, and downloaded again where its checksum is
    another.

    Raises
    ------
    ScenarioError
        If Pooch is not installed, if the origin does not answer, if it is not safe to ask, or if
        what it sends is not what was published; that is removed again.
    """
    try:
        import pooch
    except ImportError as fault:
        raise ScenarioError.at(
            "fetch", "needs the package pooch; install it with: pip install 'cluster-sim[traces]'"
        ) from fault
    # It tells hashes of files that have none; we say what was written.
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
    # The faults of requests are OSErrors; ScenarioError is a ValueError.
    except (OSError, EOFError, ValueError, TarError) as fault:
        if not trace.sha256:
            file.unlink(missing_ok=True)
            rmtree(unpacked, ignore_errors=True)
        if isinstance(fault, ScenarioError):
            raise
        raise ScenarioError.at(trace.url, _why(fault, trace)) from fault
    return path


def _download(url: str, name: str, trace: PublicTrace) -> None:
    """Write what an address holds into a file of this name."""
    with open(name, "wb") as file:
        download(url, file, trace.bytes)


def _why(fault: Exception, trace: PublicTrace) -> str:
    answer: Any = getattr(fault, "response", None)
    if answer is not None:
        return f"answers {answer.status_code} {answer.reason}; expected the trace {trace.name}"
    if isinstance(fault, ValueError) and "hash" in str(fault):
        return f"is not what was published; expected the SHA-256 {trace.sha256}"
    if isinstance(fault, TarError):
        return "is no tar archive"
    return f"cannot be fetched: {shown(getattr(fault, 'strerror', None) or str(fault) or type(fault).__name__)}"


def _count(trace: PublicTrace, path: Path) -> None:
    """Check that a trace without a checksum holds as much as was published.

    Raises ScenarioError where it does not.
    """
    if trace.files is not None:
        held, wanted, what = sum(file.is_file() for file in path.rglob("*")), trace.files, "files"
    elif trace.rows is not None:
        held, wanted, what = find_trace(path).check().rows, trace.rows, "rows"
    else:
        return
    if held != wanted:
        raise ScenarioError.at(
            trace.url, f"holds {held:,} {what}; expected {wanted:,}, as published"
        )
