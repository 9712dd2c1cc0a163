"""Files that are written whole or not at all: under another name, to the disk, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES
from pathlib import Path
from typing import Any

_MOST_OF_NAME = 40  # characters that the temporary name keeps, so that it does not become too long


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; the file that is there when the block ends takes the place of `path`.

    It lies in the same folder. A file that was there before stays as it is until then, and also
    where the block raises. A device or a pipe is written to directly. Raises OSError where the file
    cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    if target.exists() and not os.access(target, os.W_OK):  # renaming alone would not mind
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


def write_whole(path: str | Path, data: Any) -> None:
    """Write bytes to a file, whole or not at all. Raises OSError where it cannot be written."""
    with whole_file(path) as making:
        making.write_bytes(data)


def flush_to_disk(path: Path) -> None:
    """Make sure that a file, or the names in a folder, survive a loss of power."""
    if os.name != "posix" and path.is_dir():  # such systems open no folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
