"""How long answers are on their way from each replica to the front door."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cluster_sim.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR


def ways_s(scenario: Scenario) -> npt.NDArray[np.float64]:
    """Seconds, by number of the replica; what the tables' times at the front door hold beyond those at the replica."""
    topology = scenario.cluster.topology()
    paths = [topology.path(FRONT_DOOR, places[0]) for places in scenario.cluster.devices(scenario.model)]
    return np.array([path.latency_s if path is not None else 0.0 for path in paths])
