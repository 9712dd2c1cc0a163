"""Consecutive simulations in one process, each within limits of wall time and memory."""

from __future__ import annotations

import gc
from math import inf

from cluster_sim.errors import SimulationError
from cluster_sim.results.results import Results
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import RunLimits
from cluster_sim.sim.run import Progress


def simulated_within(
    scenario: Scenario, limits: RunLimits, progress: Progress | None = None
) -> Results:
    """Return the results of a run; `info.stopped` gives the limit that the run exceeded, if any.

    If memory is limited, the memory of earlier simulations is freed first: their processes and
    events are cyclic references, which only the garbage collector frees.

    Parameters
    ----------
    scenario
        Scenario to simulate.
    limits
        Limits of wall time and memory.
    progress
        Function that takes the progress. Default: no progress.
    """
    from cluster_sim.sim.simulate import simulate

    if limits.memory_bytes < inf:
        gc.collect()
    return simulate(scenario, progress, limits=limits)


def simulated_whole(scenario: Scenario, limits: RunLimits) -> Results:
    """Return the results of a run that ends within limits.

    Raises
    ------
    SimulationError
        The run stopped early.
    """
    results = simulated_within(scenario, limits)
    if results.info.stopped is not None:
        raise SimulationError(results.info.stopped)
    return results
