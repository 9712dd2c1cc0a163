"""Files and folders that are written completely or not at all, by way of a temporary name."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES
from pathlib import Path
from typing import Any

TEMPORARY = ".cluster-sim-"
"""Prefix of the names of folders that are being written or replaced."""
_LITTER_AGE_S = 86400.0
_MOST_OF_NAME = (
    40  # characters of the name that a temporary name keeps, so that it does not become too long
)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write to. At the end of the block the file there replaces `path`.

    The temporary path is in the same folder. An existing file stays until the end of the block, and
    also if the block raises. A device or a pipe is written to directly. Raises OSError if the file
    cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    if target.exists() and not os.access(target, os.W_OK):  # a rename alone would succeed
        raise PermissionError(EACCES, os.strerror(EACCES), str(target))
    making = target.with_name(f".{target.name[:_MOST_OF_NAME]}-{os.urandom(4).hex()}")
    try:
        yield making
        with suppress(FileNotFoundError):
            shutil.copymode(target, making)
        flush_to_disk(making)
        os.replace(making, target)
        flush_to_disk(target.parent)
    finally:
        with suppress(OSError):
            making.unlink()


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder to fill, which replaces `path` at the end of the block.

    An existing folder stays until the end of the block, and also if the block raises. A process
    that is killed between the two renames leaves the folder under another name, from which
    `bring_back` restores it. Raises OSError if the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    bring_back(target)
    _remove_litter(target.parent)
    making = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=target.parent))
    try:
        yield making
        making.chmod(0o755)
        for name in (*making.rglob("*"), making):
            if not name.is_symlink():
                flush_to_disk(name)
        _put_in_place(making, target)
        flush_to_disk(target.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _remove_litter(parent: Path) -> None:
    """Remove temporary folders of processes that were killed more than a day ago."""
    for path in parent.glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            is_put_aside = path.name.startswith(f"{TEMPORARY}old-")
            if not is_put_aside and time.time() - path.stat().st_mtime > _LITTER_AGE_S:
                shutil.rmtree(path)


def _put_in_place(making: Path, target: Path) -> None:
    """Rename a folder to `target`, replacing the existing one."""
    if not target.exists():
        os.rename(making, target)
        return
    aside = _aside(target)
    shutil.rmtree(aside, ignore_errors=True)  # left by a process that was killed
    os.rename(target, aside)
    try:
        os.rename(making, target)
    except OSError:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def bring_back(path: str | Path) -> None:
    """Restore a folder if a process was killed while it replaced the folder."""
    target = Path(os.path.realpath(path))
    if not target.exists():
        with suppress(OSError):  # usually there is nothing to restore
            os.rename(_aside(target), target)


def _aside(target: Path) -> Path:
    return target.with_name(f"{TEMPORARY}old-{target.name}")


def write_whole(path: str | Path, data: Any) -> None:
    """Write bytes to a file, completely or not at all. Raises OSError if it cannot be written."""
    with whole_file(path) as making:
        making.write_bytes(data)


def flush_to_disk(path: Path) -> None:
    """Ensure that a file, or the names in a folder, survive a loss of power."""
    if os.name != "posix" and path.is_dir():  # such systems cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
