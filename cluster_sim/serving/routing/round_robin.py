"""One replica after the other."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.reading import Description
from cluster_sim.request import Request
from cluster_sim.serving.routing.load import Load


class RoundRobin(Description):
    """The k-th request goes to replica k modulo the number of replicas."""

    policy: Literal["round_robin"] = "round_robin"

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Index of the replica whose turn it is."""
        return request.number % len(loads)
