"""CPU time of single runs, for benchmarks that let several kinds of run take turns in one process."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster_sim import Results, Scenario


def measured(scenario: Scenario) -> tuple[float, Results]:
    """Return the CPU time of one run [s] and its results."""
    import cluster_sim

    gc.collect()
    began_s = time.process_time()
    results = cluster_sim.simulate(scenario)
    return time.process_time() - began_s, results
