"""One replica after the other."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import Picker


class RoundRobin(Description):
    """Routing to one replica after the other.

    Request k goes to replica k modulo the number of replicas.
    """

    policy: Literal["round_robin"] = "round_robin"

    def picker(self, rng: numpy.random.Generator) -> Picker:
        """Return the policy at work in one run; it draws nothing."""
        return Picker(self.pick)

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica whose turn it is."""
        return request.number % len(loads)
