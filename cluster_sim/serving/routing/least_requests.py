"""Routing to the replica with the fewest requests, as most load balancers do."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.in_order import InOrder
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, Scan
from cluster_sim.serving.routing.policy import RoutingPolicy
from cluster_sim.serving.routing.request_order import RequestOrder
from cluster_sim.serving.routing.stale import stale
from cluster_sim.units import Seconds


class LeastRequests(RoutingPolicy):
    """Routing to the replica with the fewest waiting and running requests (shortest queue)."""

    policy: Literal["least_requests"] = "least_requests"
    staleness_s: Seconds = 0.0
    """Maximum age of the load information that the router uses [s]. Default: the information is
    always current."""

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        picker = Scan(self.pick) if not setting.is_large else InOrder(self.pick, RequestOrder())
        return stale(picker, self.staleness_s)

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica with the fewest requests; ties go to the first."""
        requests = [load.requests for load in loads]
        return requests.index(min(requests))
