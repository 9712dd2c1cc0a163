"""Contents of a folder before a run is written to it: an earlier run, files of others."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster_sim.results.run_data import TABLES, TABLES_WITH_ROWS

WITHOUT = "without"
"""Folder in a run folder for the run folders of the same requests without a mechanism."""

_OWN = {f"{name}.parquet" for name in (*TABLES, *TABLES_WITH_ROWS)} | {
    "scenario.yaml",
    "summary.json",
    "manifest.json",
}
"""Names of the files of a run folder."""


class RunFolderWarning(UserWarning):
    """Warning about a run folder that is opened."""


def manifest_in(folder: Path) -> Mapping[str, Any]:
    """Return the fields of a folder's manifest.json; empty if it cannot be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def is_of_a_run(folder: Path) -> bool:
    """Return whether a folder's manifest.json describes a run: web pages have such files too."""
    return "scenario_sha256" in manifest_in(folder)


def keep_others(folder: Path, making: Path) -> None:
    """Copy files that users and other commands added to a run folder into the new run folder.

    The files of the earlier run are not copied, those of its runs without a mechanism neither.

    Parameters
    ----------
    folder
        Run folder of the earlier run.
    making
        Folder that becomes the new run folder.
    """
    others = list(_others(folder))
    for path in others:
        kept = making / path.relative_to(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, kept, symlinks=True)
        else:
            shutil.copy2(path, kept, follow_symlinks=False)
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:3])
        warnings.warn(
            f"{folder}: {names} of the previous run {'is' if len(others) == 1 else 'are'} kept unchanged",
            RunFolderWarning,
            stacklevel=3,
        )


def _others(folder: Path) -> Iterator[Path]:
    """Yield the files and folders in a run folder that are not part of its run."""
    for path in sorted(folder.iterdir()):
        if path.name in _OWN:
            continue
        if path.name != WITHOUT or path.is_symlink() or not path.is_dir():
            yield path
            continue
        for inside in sorted(path.iterdir()):
            yield from _others(inside) if is_of_a_run(inside) else [inside]
