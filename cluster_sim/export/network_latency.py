"""Network latency of answers from each replica to the front door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cluster_sim.deployment.fleet import resolve
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR


def answer_latencies_s(scenario: Scenario) -> npt.NDArray[np.float64]:
    """Return the latency [s] of the path to the front door, by number of the replica.

    Times in the table of requests are times at the front door, so they include this latency.
    """
    fleet = resolve(scenario)
    return np.array(
        [fleet.topology.route(FRONT_DOOR, replica.server).latency_s for replica in fleet.replicas]
    )
