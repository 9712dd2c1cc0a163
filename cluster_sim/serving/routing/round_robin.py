"""Routing to one replica after another."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import Picker, Scan


class RoundRobin(Description):
    """Routing to one replica after the other.

    Request k goes to replica k modulo the number of replicas.
    """

    policy: Literal["round_robin"] = "round_robin"

    def picker(self, rng: numpy.random.Generator, replicas: int = 1) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        return Scan(self.pick)

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the next replica in turn."""
        return request.number % len(loads)
