"""A routing policy at work in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load

Pick = Callable[[Request, Sequence[Load]], int]
"""Index of the load that a request goes to."""

_AT_A_TIME = 4096


class Picker(NamedTuple):
    """A routing policy at work, with whatever it remembers during one run."""

    pick: Pick
    """Chooses among the replicas that a request may go to."""
    sent: Callable[[Request, Load], None] | None = None
    """Called with each request that was sent, and where to; None: the policy need not know."""


def uniforms(rng: numpy.random.Generator) -> Iterator[float]:
    """Return numbers from [0, 1) indefinitely.

    They are drawn by the thousand, since drawing one costs more than a pick.
    """

    def pieces() -> Iterator[list[float]]:
        while True:
            yield rng.random(_AT_A_TIME).tolist()

    return chain.from_iterable(pieces())
