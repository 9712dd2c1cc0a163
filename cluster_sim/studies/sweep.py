"""A sweep: every point of a scenario file's axes, simulated once in its life."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from cluster_sim.errors import ScenarioError, SimulationError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.grid import Point, program_version, resolved, swept
from cluster_sim.studies.store import Record, Store
from cluster_sim.studies.workers import Call, ProcessDied, called

if TYPE_CHECKING:
    import pyarrow as pa

_PUBLISH_EVERY_S = 60.0


@dataclass(frozen=True)
class Count:
    """How far a sweep has come."""

    known: int = 0
    """Points that were done or had failed before it was started."""
    done: int = 0
    failed: int = 0
    total: int | None = None
    """Of all points; None until all have been looked at."""

    def per_s(self, passed_s: float) -> float:
        """Return the points simulated per second over the `passed_s` since the start [1/s]."""
        return (self.done + self.failed) / max(passed_s, 1e-9)

    def left_s(self, passed_s: float) -> float | None:
        """Until the end, where that can be told: what is left at the pace of what was simulated in
        `passed_s`.
        """
        simulated = self.done + self.failed
        return (
            passed_s / simulated * (self.total - self.known - simulated)
            if self.total is not None and simulated
            else None
        )


Progress = Callable[[Count], None]
Ended = Callable[[str, Record], None]
"""Told each point, in words, and what it has come to."""


def sweep(
    path: str | Path,
    out: str | Path | None = None,
    sets: Sequence[str] = (),
    workers: int | None = None,
    dask: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
    ended: Ended | None = None,
) -> pa.Table:
    """Simulate the points of the file's `sweep` that the folder `out` (default sweeps/NAME) does
    not hold yet.

    workers: processes on this machine, default one a core; 0: in this one. dask: the address of a
    Dask scheduler in their place; it must run the same version. Returns what is then in
    `out`/sweep.parquet, one row a point; `status` is done, or failed with a `reason`. May be killed
    at any moment and called again. Raises ScenarioError where no point makes a scenario, or the
    folder cannot be written to.
    """
    file = open_scenarios(path, sets)
    return _Sweep(file, out, retry_failed, progress or (lambda count: None), ended).run(
        workers, dask
    )


class _Sweep:
    def __init__(
        self,
        file: ScenarioFile,
        out: str | Path | None,
        retry_failed: bool,
        progress: Progress,
        ended: Ended | None,
    ) -> None:
        self.file, self.retry_failed, self.progress, self.ended = (
            file,
            retry_failed,
            progress,
            ended,
        )
        self.named: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.started: set[str] = set()
        self.count = Count()
        self.store = Store(out or folder_of(file))

    def run(self, workers: int | None, dask: str | None) -> pa.Table:
        published_s = time.monotonic()
        for key, outcome in called(self.work(), workers, dask):
            self.keep(key, outcome)
            if time.monotonic() - published_s > _PUBLISH_EVERY_S and self.count.total is not None:
                self.store.publish()
                published_s = time.monotonic()
        return self.store.publish()

    def work(self) -> Iterator[tuple[str, Call]]:
        """The points that must be simulated; the plan is written when all have been looked at,
        which workers need not wait for.
        """
        runs = self.store.runs if self.file.sweep and self.file.sweep.keep == "runs" else None
        first_fault, faulty = "", 0
        for point in swept(self.file):
            self.rows.append(self.row(point))
            record = self.store.record(point.key)
            if point.scenario is None:
                first_fault, faulty = first_fault or point.fault, faulty + 1
                self.store.add(point.key, failed(point.fault))
                self.counted(failed=1)
            elif point.key in self.started or (
                record is not None and not (self.retry_failed and record["status"] == "failed")
            ):
                self.counted(known=1)
            else:
                self.started.add(point.key)
                if self.ended is not None:
                    self.named[point.key] = point.text
                yield (
                    point.key,
                    (simulated, (point.scenario, str(runs / point.key) if runs else None)),
                )
        if not self.rows:
            raise ScenarioError.at(self.file.place("sweep"), "'exclude' leaves out every point")
        if faulty == len(self.rows):
            raise ScenarioError.at(
                self.file.place("sweep"), f"no point makes a scenario; the first: {first_fault}"
            )
        self.store.plan(_name(self.file), self.rows)
        self.count = replace(self.count, total=len(self.rows))

    def row(self, point: Point) -> dict[str, Any]:
        columns: dict[str, Any] = {"point": point.text}
        if point.scenario is not None:
            columns |= dict(
                resolved(point.scenario, key, value) for key, value in point.values.items()
            )
            columns["seed"] = point.scenario.seed
        return {"key": point.key, "columns": columns | {"replication": point.replication}}

    def keep(self, key: str, outcome: Any) -> None:
        """Raises what stands in the way of all points."""
        if isinstance(outcome, ProcessDied):
            outcome = failed(str(outcome))
        elif isinstance(outcome, Exception):
            raise outcome
        elif outcome.pop("version") != program_version():
            raise SimulationError(
                f"a worker runs another version than this one, {program_version()}"
            )
        self.store.add(key, outcome)
        self.counted(**{outcome["status"]: 1})
        if self.ended is not None:
            self.ended(self.named.pop(key), outcome)

    def counted(self, known: int = 0, done: int = 0, failed: int = 0) -> None:
        self.count = replace(
            self.count,
            known=self.count.known + known,
            done=self.count.done + done,
            failed=self.count.failed + failed,
        )
        self.progress(self.count)


def simulated(scenario: Scenario, folder: str | None) -> dict[str, Any]:
    """What a point comes to, and by which version; a failure of its own is an outcome too.

    Raises ScenarioError where the run folder cannot be written, which is no fault of the point.
    """
    from cluster_sim.sim.simulate import simulate

    began_s = time.perf_counter()
    try:
        results = simulate(scenario)
        summary = results.summary()
    except Exception as error:
        return dict(failed(f"{type(error).__name__}: {error}"), version=program_version())
    if folder is not None:
        results.save(folder)
    return {
        "status": "done",
        "reason": "",
        "summary": summary,
        "wall_s": time.perf_counter() - began_s,
        "version": program_version(),
    }


def failed(reason: str) -> Record:
    """The record of a point that came to nothing."""
    return {"status": "failed", "reason": reason, "summary": {}, "wall_s": 0.0}


def folder_of(file: ScenarioFile) -> Path:
    """Where its results go unless somebody says otherwise."""
    return Path("sweeps") / _name(file)


def _name(file: ScenarioFile) -> str:
    """As part of a path; tells apart what was set from outside."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", str(file.document.data.get("name", "sweep")))
    return f"{plain}-{crc32(' '.join(file.sets).encode()):08x}" if file.sets else plain
