"""One replica after the other."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.routing.load import Load
from cluster_sim.serving.routing.picker import Picker


class RoundRobin(Description):
    """The k-th request goes to replica k modulo the number of replicas."""

    policy: Literal["round_robin"] = "round_robin"

    def picker(self, rng: numpy.random.Generator) -> Picker:
        """The policy at work; it draws nothing."""
        return Picker(self.pick)

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Index of the replica whose turn it is."""
        return request.number % len(loads)
