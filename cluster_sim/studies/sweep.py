"""Sweep: every point of a scenario file's axes, simulated once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from cluster_sim.errors import ScenarioError, SimulationError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.file_names import check_name, name_in_path
from cluster_sim.studies.grid import Point, program_version, resolved, swept
from cluster_sim.studies.same_runs import are_one_run, sentence
from cluster_sim.studies.store import Record, SweepFolder, Warned
from cluster_sim.studies.sweep_count import SweepCount
from cluster_sim.studies.sweep_plan import (
    known_before,
    must_simulate,
    plan_of,
    refuse_another_sweep,
)
from cluster_sim.studies.sweep_point import failed, simulated
from cluster_sim.studies.workers import Call, ProcessDied, called

if TYPE_CHECKING:
    import pyarrow as pa

_PUBLISH_EVERY_S = 60.0
_HANGS_FACTOR, _HANGS_S = 3.0, 60.0
"""Factor on the time limit and additional time [s] after which the process of a point is killed:
preparation and storage of a simulation take time too."""


SweepProgress = Callable[[SweepCount], None]
"""Function that is called with the number of points done."""
Ended = Callable[[str, Record], None]
"""Function that is called with each point, in words, and its outcome."""


def sweep(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    out: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    workers: int | None = None,
    dask: str | None = None,
    retry_failed: bool = False,
    limits: RunLimits = NO_LIMITS,
    progress: SweepProgress | None = None,
    ended: Ended | None = None,
    warned: Warned = warnings.warn,
) -> pa.Table:
    """Simulate the points of the file's `sweep` that are not in its folder yet.

    The process may be killed at any moment; the next call continues. A KeyboardInterrupt carries a
    note with the number of points that are kept.

    Parameters
    ----------
    path
        Scenario file with a section `sweep`.
    out
        Folder of the results. Default: sweeps/NAME.
    sets
        `key=value` texts applied to the file.
    workers
        Number of processes on this machine. Default: one per core; 0: run everything in this
        process.
    dask
        Address of a Dask scheduler that replaces the processes; it must run the same version.
    retry_failed
        Whether to repeat points that failed before.
    limits
        Limits of wall time and memory of each point; a point that exceeds a limit fails.
    progress
        Function that is called with the number of points done.
    ended
        Function that is called with each point, in words, and its outcome.
    warned
        Function that is called with a sentence about each damaged file that was renamed, and with
        each sentence about the reading of a trace.

    Returns
    -------
    pyarrow.Table
        Content of `out`/sweep.parquet, one row per point and seed; `status` is done, or failed with a
        `reason`.

    Raises
    ------
    ScenarioError
        No point gives a valid scenario, the folder holds the plan of another sweep with this name,
        or the folder cannot be written to.

    Examples
    --------
    >>> import cluster_sim
    >>> table = cluster_sim.sweep("rates.yaml", "results")  # doctest: +SKIP
    >>> table.to_pandas()[["workload.arrivals.rate_per_s", "p99_ttft_ms"]]  # doctest: +SKIP
    """
    file = open_scenarios(path, sets)
    folder = SweepFolder(out or folder_of(file), warned)
    refuse_another_sweep(file, folder, _name(file))
    listeners = _Listeners(progress or (lambda count: None), ended)
    under_way = _Sweep(file, folder, listeners, limits, retry_failed=retry_failed)
    return under_way.run(workers, dask)


class _Listeners(NamedTuple):
    """Functions that are called with the progress of a sweep."""

    progress: SweepProgress
    ended: Ended | None


class _Sweep:
    """Sweep in progress."""

    def __init__(
        self,
        file: ScenarioFile,
        folder: SweepFolder,
        listeners: _Listeners,
        limits: RunLimits,
        *,
        retry_failed: bool,
    ) -> None:
        self.file, self.folder, self.listeners = file, folder, listeners
        self.limits = limits
        self.retry_failed = retry_failed
        self.named: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.started: set[str] = set()
        self.noted: set[str] = set()
        self.replicated: Scenario | None = None
        self.count = SweepCount()

    def run(self, workers: int | None, dask: str | None) -> pa.Table:
        """Simulate the missing points and return the table."""
        published_s = time.monotonic()
        hangs_s = _HANGS_FACTOR * self.limits.time_s + _HANGS_S
        try:
            for key, outcome in called(self.work(), workers, dask, hangs_s):
                self.keep(key, outcome)
                if time.monotonic() - published_s > _PUBLISH_EVERY_S and self._is_planned:
                    self.folder.publish()
                    published_s = time.monotonic()
        except KeyboardInterrupt as interrupt:
            if self._is_planned:
                self.folder.publish()
            kept = sum(self.folder.record(row["key"]) is not None for row in self.rows)
            interrupt.add_note(
                f"{kept:,} points are kept in {self.folder.path}; run the same command again to continue"
            )
            raise
        self._say_same_runs()
        return self.folder.publish()

    def _say_same_runs(self) -> None:
        """Warn if the replications of every point are identical."""
        points: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.rows:
            if (record := self.folder.record(row["key"])) and record["status"] == "done":
                points.setdefault(row["columns"]["point"], []).append(record["summary"])
        if self.replicated is not None and points and all(map(are_one_run, points.values())):
            self.folder.warned(sentence(self.replicated))

    @property
    def _is_planned(self) -> bool:
        """Whether all points have been resolved and the plan is written."""
        return self.count.total is not None

    def work(self) -> Iterator[tuple[str, Call]]:
        """Yield the points that must be simulated.

        The plan is written when all points have been resolved; workers need not wait for it.
        """
        runs = self.folder.runs if self.file.sweep and self.file.sweep.keep == "runs" else None
        faults: list[str] = []
        for point in swept(self.file):
            self.rows.append(self._row(point))
            if point.replication and point.scenario is not None:
                self.replicated = point.scenario
            if point.scenario is None:
                faults.append(point.fault)
                self.folder.add(point.key, failed(point.fault))
                self._add_count(failed=1)
            elif not self._must_simulate(point.key):
                self._add_count(known=1)
            else:
                self.started.add(point.key)
                if self.listeners.ended is not None:
                    self.named[point.key] = point.text
                folder = str(runs / point.key) if runs else None
                yield point.key, (simulated, (point.scenario, folder, self.limits))
        self._check_points(faults)
        name = _name(self.file)
        self.folder.keep_plan(name, plan_of(self.file, name, self.rows))
        self.count = replace(self.count, total=len(self.rows))

    def _must_simulate(self, key: str) -> bool:
        """Return whether a point is neither stored nor in progress."""
        return key not in self.started and must_simulate(
            self.folder, key, retry_failed=self.retry_failed
        )

    def _check_points(self, faults: Sequence[str]) -> None:
        """Raise ScenarioError if no point gives a valid scenario."""
        where = self.file.place("sweep")
        if not self.rows:
            raise ScenarioError.at(where, "'exclude' removes every point")
        if len(faults) == len(self.rows):
            raise ScenarioError.at(
                where, f"no point gives a valid scenario; the first: {faults[0]}"
            )

    def _row(self, point: Point) -> dict[str, Any]:
        """Return a point as a row of the plan."""
        columns: dict[str, Any] = {"point": point.text}
        if point.scenario is not None:
            columns |= dict(
                resolved(point.scenario, key, value) for key, value in point.values.items()
            )
            columns["seed"] = point.scenario.seed
        return {"key": point.key, "columns": columns | {"replication": point.replication}}

    def keep(self, key: str, outcome: Any) -> None:
        """Store the outcome of a point; raise an exception that concerns all points."""
        if isinstance(outcome, ProcessDied):
            outcome = failed(str(outcome))
        elif isinstance(outcome, Exception):
            raise outcome
        elif outcome.pop("version") != program_version():
            raise SimulationError(
                f"a worker runs another version than this process ({program_version()}); install the same version on all workers"
            )
        for note in outcome.pop("notes", ()):
            if note not in self.noted:
                self.noted.add(note)
                self.folder.warned(note)
        self.folder.add(key, outcome)
        self._add_count(**{outcome["status"]: 1})
        if self.listeners.ended is not None:
            self.listeners.ended(self.named.pop(key), outcome)

    def _add_count(self, known: int = 0, done: int = 0, failed: int = 0) -> None:
        self.count = replace(
            self.count,
            known=self.count.known + known,
            done=self.count.done + done,
            failed=self.count.failed + failed,
        )
        self.listeners.progress(self.count)


def progress_of(
    file: ScenarioFile, out: str | Path, warned: Warned, *, retry_failed: bool = False
) -> SweepCount:
    """Return the counts of a file's sweep before its start; its total is known.

    `warned` is called with a sentence about each damaged file, which is renamed.
    """
    return known_before(file, SweepFolder(out, warned), retry_failed=retry_failed)


def folder_of(file: ScenarioFile) -> Path:
    """Return the default folder for the results of a file's sweep.

    Raises
    ------
    ScenarioError
        The name of the scenario cannot be the name of a folder.
    """
    check_name(file)
    return Path("sweeps") / _name(file)


def _name(file: ScenarioFile) -> str:
    """Return the name of a sweep as part of a path; it depends on the overrides of `--set`."""
    plain = name_in_path(file, "sweep")
    return f"{plain}-{crc32(' '.join(file.sets).encode()):08x}" if file.sets else plain
