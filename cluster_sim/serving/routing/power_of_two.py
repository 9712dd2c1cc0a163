"""The better of two replicas that were drawn."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.routing.load import Load
from cluster_sim.serving.routing.picker import Picker, uniforms
from cluster_sim.serving.routing.stale import stale
from cluster_sim.units import Seconds


class PowerOfTwo(Description):
    """Of two different replicas drawn at random the one with fewer requests.

    Nearly as good as looking at all of them, and no herd follows where loads are seen late.
    (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001.)
    """

    policy: Literal["power_of_two"] = "power_of_two"
    staleness_s: Seconds = 0.0
    """The router sees loads of a moment up to this long ago."""

    def picker(self, rng: numpy.random.Generator) -> Picker:
        """The policy at work, with draws from `rng`."""
        draws = uniforms(rng)

        def pick(request: Request, loads: Sequence[Load]) -> int:
            """Index of the one with fewer requests; the first drawn of equals."""
            one = int(next(draws) * len(loads))
            other = int(next(draws) * (len(loads) - 1))
            if len(loads) == 1:
                return 0
            if other >= one:
                other += 1
            return other if loads[other].requests < loads[one].requests else one

        return Picker(stale(pick, self.staleness_s))
