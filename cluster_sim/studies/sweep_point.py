"""Simulation of one point of a sweep, in any process."""

from __future__ import annotations

import time
from typing import Any

from cluster_sim.errors import SummaryError
from cluster_sim.results.results import Results
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import RunLimits
from cluster_sim.studies.grid import program_version
from cluster_sim.studies.limited import simulated_within
from cluster_sim.studies.store import Record


def simulated(scenario: Scenario, folder: str | None, limits: RunLimits) -> dict[str, Any]:
    """Simulate a point; return its outcome, which may be a failure, with the program's version.

    A run that stopped early counts as failed. Its run folder is kept, and so is that of a run whose
    summary fails.

    Raises
    ------
    ScenarioError
        The run folder cannot be written, which is not a failure of the point.
    """
    began_s = time.perf_counter()
    try:
        results = simulated_within(scenario, limits)
    except Exception as error:
        return failed_by(error)
    try:
        if folder is not None:
            results.save(folder)
    except SummaryError as error:
        return failed_by(error)
    try:
        summary = results.summary()
    except Exception as error:
        return failed_by(error)
    if results.info.stopped is not None:
        return dict(failed(results.info.stopped), version=program_version())
    return {
        "status": "done",
        "reason": "",
        "summary": summary,
        "wall_s": time.perf_counter() - began_s,
        "version": program_version(),
        "notes": notes_of(results),
    }


def notes_of(results: Results) -> list[str]:
    """Return sentences about the trace of a run; empty if the run replays no trace."""
    trace = results.scenario.workload.recorded
    return [] if trace is None else [f"{trace.path}: {note}" for note in results.info.notes]


def failed_by(error: Exception) -> dict[str, Any]:
    """Return the outcome of a point whose simulation raised `error`."""
    return dict(failed(f"{type(error).__name__}: {error}"), version=program_version())


def failed(reason: str) -> Record:
    """Return the record of a point that failed."""
    return {"status": "failed", "reason": reason, "summary": {}, "wall_s": 0.0}
