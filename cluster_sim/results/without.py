"""Runs of the same requests without a mechanism, in the folder `without` of a run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.results.earlier_folder import WITHOUT
from cluster_sim.results.mechanisms import ALL, MECHANISMS

Run = TypeVar("Run")


class StoredRuns(Mapping[str, Run]):
    """Runs of a folder `without`, by name. A run is read when it is first looked up.

    Parameters
    ----------
    folder
        Run folder that holds the folder `without`.
    names
        Names of the runs.
    read
        Function that returns the results in a run folder.
    """

    def __init__(self, folder: Path, names: tuple[str, ...], read: Callable[[Path], Run]) -> None:
        self._folder, self._names, self._read = folder, names, read
        self._known: dict[str, Run] = {}

    def __getitem__(self, name: str) -> Run:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._known:
            self._known[name] = self._read(self._folder / WITHOUT / name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def stored_names(folder: Path, manifest: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the runs in the folder `without` of a run folder.

    Parameters
    ----------
    folder
        Run folder.
    manifest
        Content of its manifest.json.

    Returns
    -------
    tuple of str or None
        Names, none if no mechanism was in play; None if the run was not attributed, or if one of
        its runs was removed.

    Raises
    ------
    ScenarioError
        The manifest names runs that do not exist.
    """
    names = manifest.get("without")
    if names is None:
        return None
    known = (*MECHANISMS, ALL)
    if not isinstance(names, list) or any(name not in known for name in names):
        raise ScenarioError.at(
            str(folder / "manifest.json"),
            f"without: got {shown(names)}; expected a list of names from {', '.join(known)}",
        )
    is_whole = all((folder / WITHOUT / name / "manifest.json").is_file() for name in names)
    return tuple(names) if is_whole else None
