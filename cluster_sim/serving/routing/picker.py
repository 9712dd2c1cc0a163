"""State of a routing policy during one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load

Pick = Callable[[Request, Sequence[Load]], int]
"""Function that returns the index of the replica for a request, given the loads."""

_AT_A_TIME = 4096


class Picker(NamedTuple):
    """Routing policy with its state during one run."""

    pick: Pick
    """Function that chooses among the replicas that can serve a request."""
    sent: Callable[[Request, Load], None] | None = None
    """Function that is called with each request sent and the load of its replica; None if not
    needed."""


def uniforms(rng: numpy.random.Generator) -> Iterator[float]:
    """Yield random numbers from [0, 1) indefinitely.

    Numbers are drawn a thousand at a time, since a single draw costs more than a pick.
    """

    def pieces() -> Iterator[list[float]]:
        while True:
            yield rng.random(_AT_A_TIME).tolist()

    return chain.from_iterable(pieces())
