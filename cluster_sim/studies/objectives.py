"""Objectives by which the search for capacity judges clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cluster_sim.results.metrics import verdict
from cluster_sim.results.metrics.verdict import DEFAULT_PERCENTILE, Objective, Verdict
from cluster_sim.results.states import mean_nodes
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.limited import simulated_whole

_DEFAULT = 95.0
"""Percentile of a search if the file gives none."""


def objectives(scenario: Scenario, asked: Capacity) -> tuple[Objective, ...]:
    """Return the objectives of all classes, at the percentile of `capacity` or of the SLO."""
    return verdict.objectives(scenario, asked.percentile, _DEFAULT)


class Judged(NamedTuple):
    """Runs that were judged together."""

    verdict: Verdict
    """Verdict on their requests."""
    nodes_on: Mapping[str, float]
    """Mean number of nodes that were on, by name of the pool."""


def judged(
    scenarios: Sequence[Scenario], wanted: Sequence[Objective], limits: RunLimits = NO_LIMITS
) -> Judged:
    """Simulate scenarios that differ only in their seed; return the verdict on all runs together.

    Raises
    ------
    SimulationError
        A run stopped early.
    """
    runs = [simulated_whole(scenario, limits) for scenario in scenarios]
    nodes = [mean_nodes(run) for run in runs]
    nodes_on = {pool: sum(each[pool] for each in nodes) / len(nodes) for pool in nodes[0]}
    return Judged(verdict.judged(runs, wanted), nodes_on)


def notes(wanted: Sequence[Objective]) -> Iterator[str]:
    """Yield a sentence if a search judges by another percentile than a run of the same file."""
    if not all(objective.is_percentile_written for objective in wanted):
        yield (
            f"the file gives no percentile: capacity judges at p{_DEFAULT:g}, `run` at "
            f"p{DEFAULT_PERCENTILE:g}; slo.percentile sets both"
        )
