"""A routing policy at work in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.routing.load import Load

Pick = Callable[[Request, Sequence[Load]], int]
"""Index of the load that a request goes to."""

_AT_A_TIME = 4096


class Picker(NamedTuple):
    """What a policy does, with whatever it keeps in mind during one run."""

    pick: Pick
    sent: Callable[[Request, Load], None] | None = None
    """Told of each request that was sent, and where to; None for a policy that need not know."""


def uniforms(rng: numpy.random.Generator) -> Iterator[float]:
    """Numbers from [0, 1) without end; drawn by the thousand, for one at a time costs more than a
    pick.
    """

    def pieces() -> Iterator[list[float]]:
        while True:
            yield rng.random(_AT_A_TIME).tolist()

    return chain.from_iterable(pieces())
