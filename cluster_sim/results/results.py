"""Results: a run with its summary, written to and read from run folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster_sim.results.notebook import results_html
from cluster_sim.results.run_data import RunData
from cluster_sim.results.run_folder import write_run
from cluster_sim.results.stored_run import is_run_folder, read_run
from cluster_sim.results.summary import summary
from cluster_sim.whole_files import TEMPORARY, bring_back


@dataclass(frozen=True)
class Results(RunData):
    """Tables and facts of one run, and what follows from them."""

    def summary(self) -> dict[str, Any]:
        """Return the fields of summary.json."""
        return dict(self._summary)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return summary(self)

    def _repr_html_(self) -> str:
        """Return what notebooks show."""
        return results_html(self.scenario.title, self._summary)

    def save(self, folder: str | Path) -> Path:
        """Write the run folder, whole or not at all, in place of one that exists.

        The tables are written before the summary is computed.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ScenarioError
            The folder cannot be written, or a folder that is no run folder is in the way.
        SummaryError
            The summary cannot be computed; the folder has everything else.
        """
        return write_run(self, self.summary, Path(folder))


def load_results(folder: str | Path) -> Results:
    """Return the results in a run folder.

    Raises
    ------
    ScenarioError
        There is no run folder, or it is not whole.
    """
    run = read_run(Path(folder))
    return Results(**vars(run))


def load_runs(folder: str | Path) -> list[Results]:
    """Return the run in a folder, or the runs in the folders inside it.

    Raises
    ------
    ScenarioError
        There is no run folder, or one is not whole.
    """
    folder = Path(folder)
    if is_run_folder(folder) or not os.path.isdir(folder):
        return [load_results(folder)]
    for aside in folder.glob(f"{TEMPORARY}old-*"):
        bring_back(folder / aside.name.removeprefix(f"{TEMPORARY}old-"))
    inside = sorted(
        path.parent
        for path in folder.glob("*/manifest.json")
        if not path.parent.name.startswith(TEMPORARY)
    )
    return [load_results(path) for path in inside or [folder]]
