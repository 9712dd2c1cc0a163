"""How long answers are on their way from each replica to the front door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cluster_sim.deployment.fleet import resolve
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR


def ways_s(scenario: Scenario) -> npt.NDArray[np.float64]:
    """Seconds, by number of the replica; what the tables' times at the front door hold beyond those
    at the replica.
    """
    fleet = resolve(scenario)
    return np.array(
        [fleet.topology.route(FRONT_DOOR, replica.server).latency_s for replica in fleet.replicas]
    )
