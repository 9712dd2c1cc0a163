"""Objectives that the search for capacity holds clusters to, by the verdict of every command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster_sim.errors import SimulationError
from cluster_sim.results.metrics import verdict
from cluster_sim.results.metrics.verdict import DEFAULT_PERCENTILE, Objective, Verdict
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.limited import simulated_within

_DEFAULT = 95.0
"""Percentile of a search where the file writes none."""


def objectives(scenario: Scenario, asked: Capacity) -> tuple[Objective, ...]:
    """Return the objectives of all classes, at the percentile that is asked for or the SLO's."""
    return verdict.objectives(scenario, asked.percentile, _DEFAULT)


def judged(
    scenarios: Sequence[Scenario], wanted: Sequence[Objective], limits: RunLimits = NO_LIMITS
) -> Verdict:
    """Simulate scenarios that differ in their seed; return the verdict on all runs together.

    Raises SimulationError where a run ended early.
    """
    runs = []
    for scenario in scenarios:
        runs.append(simulated_within(scenario, limits))
        if runs[-1].info.stopped is not None:
            raise SimulationError(runs[-1].info.stopped)
    return verdict.judged(runs, wanted)


def notes(wanted: Sequence[Objective]) -> Iterator[str]:
    """Yield where a search judges by another percentile than a run of the same file."""
    if not all(objective.is_percentile_written for objective in wanted):
        yield (
            f"the file writes no percentile: capacity judges at p{_DEFAULT:g}, `run` at "
            f"p{DEFAULT_PERCENTILE:g}; slo.percentile sets both"
        )
