"""One simulation after the other in a process, each within limits."""

from __future__ import annotations

import gc
from math import inf

from cluster_sim.results.results import Results
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import RunLimits


def simulated_within(scenario: Scenario, limits: RunLimits) -> Results:
    """Return the results of a run; `info.stopped` says which limit it exceeded, if any.

    Where memory is limited, what earlier simulations left behind is freed first: their processes
    and events refer to each other, and go only when Python looks for such circles.
    """
    from cluster_sim.sim.simulate import simulate

    if limits.memory_bytes < inf:
        gc.collect()
    return simulate(scenario, limits=limits)
