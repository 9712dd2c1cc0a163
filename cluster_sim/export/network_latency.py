"""How long answers are on their way from each replica to the front door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cluster_sim.deployment.fleet import resolve
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR


def answer_latencies_s(scenario: Scenario) -> npt.NDArray[np.float64]:
    """Return the latency [s] of the path to the front door, by number of the replica.

    Times at the front door in the tables hold it beyond the times at the replica.
    """
    fleet = resolve(scenario)
    return np.array(
        [fleet.topology.route(FRONT_DOOR, replica.server).latency_s for replica in fleet.replicas]
    )
