"""Routing to the replica with the fewest tokens left to process."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.in_order import InOrder
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, Scan
from cluster_sim.serving.routing.policy import RoutingPolicy
from cluster_sim.serving.routing.stale import stale
from cluster_sim.serving.routing.work_order import WorkOrder
from cluster_sim.units import Seconds


class LeastWork(RoutingPolicy):
    """Routing to the replica with the fewest tokens left to process.

    The policy knows the lengths of answers in advance, which no real router does: it gives a bound
    on what a router can gain. If service time is proportional to tokens and one request is served
    at a time, this policy equals a single queue in front of all replicas (Harchol-Balter,
    Performance Modeling and Design of Computer Systems, ch. 24).
    """

    policy: Literal["least_work"] = "least_work"
    staleness_s: Seconds = 0.0
    """Maximum age of the load information that the router uses [s]. Default: the information is
    always current."""

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        picker = Scan(self.pick) if not setting.is_large else InOrder(self.pick, WorkOrder())
        return stale(picker, self.staleness_s)

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica with the fewest pending tokens; ties go to the first."""
        pending = [load.pending_tokens for load in loads]
        return pending.index(min(pending))
