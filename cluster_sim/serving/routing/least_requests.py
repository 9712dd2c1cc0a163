"""The replica with fewest requests, as most load balancers do."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.routing.load import Load
from cluster_sim.serving.routing.picker import Picker
from cluster_sim.serving.routing.stale import stale
from cluster_sim.units import Seconds


class LeastRequests(Description):
    """Join the shortest queue, counted in requests waiting or running."""

    policy: Literal["least_requests"] = "least_requests"
    staleness_s: Seconds = 0.0
    """The router sees loads of a moment up to this long ago."""

    def picker(self, rng: numpy.random.Generator) -> Picker:
        """The policy at work; it draws nothing."""
        return Picker(stale(self.pick, self.staleness_s))

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Index of the replica with fewest requests; the first of equals."""
        requests = [load.requests for load in loads]
        return requests.index(min(requests))
