"""Routing to the better of two randomly drawn replicas."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, Scan, uniforms
from cluster_sim.serving.routing.policy import RoutingPolicy
from cluster_sim.serving.routing.stale import stale
from cluster_sim.units import Seconds


class PowerOfTwo(RoutingPolicy):
    """Routing to the one of two randomly drawn replicas with fewer requests.

    It is nearly as good as looking at all replicas, and it causes no herding if load information is
    stale (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10),
    2001).
    """

    policy: Literal["power_of_two"] = "power_of_two"
    staleness_s: Seconds = 0.0
    """Maximum age of the load information that the router uses [s]. Default: the information is
    always current."""

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run, with random numbers from `rng`."""
        draws = uniforms(rng)

        def pick(request: Request, loads: Sequence[Load]) -> int:
            """Return the index of the replica with fewer requests; ties go to the first drawn."""
            first = int(next(draws) * len(loads))
            second = int(next(draws) * (len(loads) - 1))
            if len(loads) == 1:
                return 0
            if second >= first:
                second += 1
            return second if loads[second].requests < loads[first].requests else first

        return stale(Scan(pick), self.staleness_s)
