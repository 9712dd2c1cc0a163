"""Routing to one replica after another."""

from collections.abc import Sequence
from typing import Literal

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, Scan
from cluster_sim.serving.routing.policy import RoutingPolicy


class RoundRobin(RoutingPolicy):
    """Routing to one replica after the other.

    Request k goes to replica k modulo the number of replicas.
    """

    policy: Literal["round_robin"] = "round_robin"

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        return Scan(self.pick)

    @staticmethod
    def pick(request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the next replica in turn."""
        return request.number % len(loads)


class OwnTurns(Picker):
    """Choice of one replica after the other, counted among the requests that come here.

    A rule sends only some requests here, so their numbers do not tell whose turn it is.
    """

    def __init__(self) -> None:
        self._picks = 0

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the next replica in turn."""
        self._picks += 1
        return (self._picks - 1) % len(loads)
