"""State of a routing policy during one run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy.random

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.kv_events import KvEvents

MAX_SCANNED = 32
"""Maximum number of replicas that a policy looks at one by one for each request; with more, it
keeps them in order.

NOTE: looking at 32 replicas takes about as long as keeping the order.
"""
_AT_A_TIME = 4096


class Slacks(Protocol):
    """Interface of the temperatures that telemetry reports: sim.thermometer.Thermometer."""

    def slack_kelvin(self, number: int) -> float:
        """Return the least distance of a replica's devices to their limits at the last reading [K]."""
        ...


class RoutingSetting(NamedTuple):
    """Facts of the cluster and its traffic that a policy may use."""

    pools: Mapping[int, str] = MappingProxyType({})
    """Name of the pool of each replica to which the router may send requests, by number."""
    classes: Sequence[str] = ()
    """Names of the classes of requests, in order."""
    kv_events: KvEvents | None = None
    """Reports of the blocks in prefix caches; None if no policy reads them."""
    slacks: Slacks | None = None
    """Temperatures of the replicas; None if no policy reads them."""

    @property
    def is_large(self) -> bool:
        """Whether there are so many replicas that a policy keeps them in order."""
        return len(self.pools) > MAX_SCANNED


UNKNOWN = RoutingSetting()
"""RoutingSetting without knowledge."""


class Picker:
    """Routing policy with its state during one run.

    `pick` looks at the replicas that it is given. A policy that keeps the open replicas in order
    overrides `pick_open`, which makes the same choice sooner. An open replica is one to which the
    router sends requests.
    """

    follows_loads: bool = False
    """Whether the policy must be told when a load changes."""

    @abstractmethod
    def pick(self, request: Request, loads: Sequence[Load]) -> int | None:
        """Return the index of the replica for a request among `loads`, in order of number.

        The result is None if the policy sends the request to none of them.
        """

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int | None:
        """Return the index of the replica for a request among all open replicas.

        Parameters
        ----------
        request
            Request that has arrived.
        loads
            Loads of all open replicas, in order of number.
        now_s
            Present time [s].
        """
        return self.pick(request, loads)

    def allows(self, request: Request, load: Load) -> bool:
        """Return whether the policy may ever send a request to a replica."""
        return True

    def sent(self, request: Request, load: Load) -> None:
        """Record that a request was sent to a replica, whose load includes it now."""

    def opened(self, load: Load) -> None:
        """Record that the router may send requests to a replica from now on."""

    def closed(self, load: Load) -> None:
        """Record that the router sends no more requests to a replica."""

    def changed(self, number: int) -> None:
        """Record that the load of the replica with this number may be lower, or may fall faster."""

    def renew(self, loads: Sequence[Load]) -> None:
        """Replace the loads of all open replicas by newer reports."""


class Scan(Picker):
    """Routing policy without state, which looks at all replicas."""

    def __init__(self, choose: Callable[[Request, Sequence[Load]], int]) -> None:
        self._choose = choose

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica for a request among `loads`, in order of number."""
        return self._choose(request, loads)

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int | None:
        """Return the index of the replica for a request among all open replicas.

        NOTE: it calls the function itself, which saves 0.05 us per request.
        """
        return self._choose(request, loads)


def index_of(number: int, loads: Sequence[Load]) -> int:
    """Return the index of the replica with a number among `loads`, in order of number."""
    if number < len(loads) and loads[number].number == number:
        return number
    low, high = 0, min(number, len(loads) - 1)
    while low < high:
        middle = (low + high) // 2
        if loads[middle].number < number:
            low = middle + 1
        else:
            high = middle
    return low


def uniforms(rng: numpy.random.Generator) -> Iterator[float]:
    """Yield random numbers from [0, 1) indefinitely.

    Numbers are drawn a thousand at a time, since a single draw costs more than a pick.
    """

    def pieces() -> Iterator[list[float]]:
        while True:
            yield rng.random(_AT_A_TIME).tolist()

    return chain.from_iterable(pieces())
