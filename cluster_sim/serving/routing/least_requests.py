"""The replica with fewest requests, as most load balancers do."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.reading import Description
from cluster_sim.request import Request
from cluster_sim.serving.routing.load import Load


class LeastRequests(Description):
    """Join the shortest queue, counted in requests waiting or running."""

    policy: Literal["least_requests"] = "least_requests"

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Index of the replica with fewest requests; the first of equals."""
        requests = [load.requests for load in loads]
        return requests.index(min(requests))
