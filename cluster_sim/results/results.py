"""Results: a run with its summary, written to and read from run folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster_sim.results.attribution import SummedRun, cost_fields
from cluster_sim.results.mechanisms import ALL, MECHANISMS
from cluster_sim.results.notebook import results_html
from cluster_sim.results.run_data import RunData
from cluster_sim.results.run_folder import SavedRun, write_run
from cluster_sim.results.stored_run import is_run_folder, read_json, read_run
from cluster_sim.results.summary import summary
from cluster_sim.results.without import StoredRuns, stored_names
from cluster_sim.whole_files import TEMPORARY, bring_back


@dataclass(frozen=True)
class Results(RunData):
    """Tables and facts of one run, with its summary.

    Examples
    --------
    >>> import cluster_sim
    >>> results = cluster_sim.load_results("runs/burst-70b")  # doctest: +SKIP
    >>> results.summary()["p99_ttft_ms"]  # doctest: +SKIP
    >>> results.requests.to_pandas().describe()  # doctest: +SKIP
    """

    folder: Path | None = field(default=None, compare=False)
    """Run folder from which the run was read; None for a run of this process."""
    without: Mapping[str, Results] | None = field(default=None, compare=False, repr=False)
    """Runs of the same requests without a mechanism, by the name of each mechanism that is in play,
    and by `all` if there are several. None if the cost of mechanisms was not asked for."""

    def summary(self) -> dict[str, Any]:
        """Return the fields of summary.json.

        Returns
        -------
        dict
            Values by name. A name ends in its unit, such as `p99_ttft_ms` [ms]; the names are those
            of `vllm bench serve` if it has such a field. Metrics that the run does not have are
            absent.

        Raises
        ------
        SummaryError
            The summary cannot be computed.

        Examples
        --------
        >>> import cluster_sim
        >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
        >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
        >>> summary = cluster_sim.simulate(scenario).summary()
        >>> summary["completed"], summary["rejected"]
        (4, 0)
        """
        return dict(self._summary)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        report = summary(self)
        if self.without is None:
            return report
        runs = {name: SummedRun(run, run.summary()) for name, run in self.without.items()}
        return report | cost_fields(SummedRun(self, report), runs)

    def _repr_html_(self) -> str:
        """Return the results as HTML for notebooks."""
        return results_html(self.scenario.title, self._summary)

    def save(self, folder: str | Path) -> Path:
        """Write the run folder, whole or not at all; an existing run folder is replaced.

        The tables are written before the summary is computed.

        Parameters
        ----------
        folder
            Path of the run folder.

        Returns
        -------
        Path
            Path of the run folder.

        Raises
        ------
        ScenarioError
            The folder cannot be written, or another kind of folder exists at the path.
        SummaryError
            The summary cannot be computed; the folder has everything else.

        Examples
        --------
        >>> results.save("runs/mine")  # doctest: +SKIP
        PosixPath('runs/mine')
        """
        without = self.without
        runs = None if without is None else {name: _saved(run) for name, run in without.items()}
        return write_run(_saved(self), Path(folder), runs)


def _saved(run: Results) -> SavedRun:
    return SavedRun(run, run.summary)


def load_results(folder: str | Path) -> Results:
    """Return the results in a run folder.

    Parameters
    ----------
    folder
        Path of the run folder, as `Results.save` or `cluster-sim run` writes it.

    Returns
    -------
    Results
        Tables and facts of the run.

    Raises
    ------
    ScenarioError
        The folder is not a run folder, or a file of it is missing or damaged.

    Examples
    --------
    >>> import cluster_sim
    >>> results = cluster_sim.load_results("runs/burst-70b")  # doctest: +SKIP
    >>> results.requests.num_rows  # doctest: +SKIP
    """
    folder = Path(folder)
    run = read_run(folder)
    names = stored_names(folder, read_json(folder / "manifest.json"))
    without = None if names is None else StoredRuns(folder, names, load_results)
    return Results(**vars(run), folder=folder, without=without)


def run_without(run: Results | str | Path, mechanism: str) -> Results | None:
    """Return the run of the same requests without a mechanism.

    Parameters
    ----------
    run
        Run, or the path of its run folder.
    mechanism
        Name of the mechanism: heat, power_caps, contention or failures; `all` for all of them.

    Returns
    -------
    Results or None
        Run without the mechanism. It is the run itself if the mechanism is not in play there. None
        if the run folder has no such runs; `cluster-sim run FILE --attribute` makes them.

    Raises
    ------
    ValueError
        There is no such mechanism.
    ScenarioError
        A run folder cannot be read.
    """
    if mechanism not in (*MECHANISMS, ALL):
        known = ", ".join((*MECHANISMS, ALL))
        raise ValueError(f"got the mechanism {mechanism!r}; expected one of {known}")
    results = run if isinstance(run, Results) else load_results(run)
    if results.without is None:
        return None
    if mechanism == ALL and len(results.without) == 1:
        return next(iter(results.without.values()))
    return results.without.get(mechanism, results)


def load_runs(folder: str | Path) -> list[Results]:
    """Return the run in a folder, or the runs in its subfolders.

    Parameters
    ----------
    folder
        Path of a run folder, or of a folder that holds run folders.

    Raises
    ------
    ScenarioError
        There is no run folder, or a file of one is missing or damaged.
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
