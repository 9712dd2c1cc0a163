"""Routing to a random replica."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, Scan, uniforms
from cluster_sim.serving.routing.policy import RoutingPolicy


class Random(RoutingPolicy):
    """Routing to a random replica, all of which are equally likely.

    If the incoming traffic is Poisson, the traffic at each replica is Poisson too.
    """

    policy: Literal["random"] = "random"

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run, with random numbers from `rng`."""
        draws = uniforms(rng)

        def pick(request: Request, loads: Sequence[Load]) -> int:
            return int(next(draws) * len(loads))

        return Scan(pick)
