"""The replica with fewest tokens still to process."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.reading import Description
from cluster_sim.request import Request
from cluster_sim.serving.routing.load import Load


class LeastWork(Description):
    """Least work left, in tokens. It knows how long answers will be, which no real router does: a bound on what one can gain.

    Where service time is proportional to tokens and one request is served at a time, this is a single queue before all
    replicas (Harchol-Balter, Performance Modeling and Design of Computer Systems, ch. 24).
    """

    policy: Literal["least_work"] = "least_work"

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Index of the replica with fewest pending tokens; the first of equals."""
        pending = [load.pending_tokens() for load in loads]
        return pending.index(min(pending))
