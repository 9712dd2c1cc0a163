"""How long answers are on their way from each replica to the front door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR


def ways_s(scenario: Scenario) -> npt.NDArray[np.float64]:
    """Seconds, by number of the replica; what the tables' times at the front door hold beyond those
    at the replica.
    """
    topology = scenario.cluster.topology()
    return np.array(
        [
            topology.route(FRONT_DOOR, places[0]).latency_s
            for places in scenario.cluster.devices(scenario.model)
        ]
    )
