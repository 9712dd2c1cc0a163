"""Base of the routing policies, and what they are checked against."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy.random

from cluster_sim.schema import Description, Trail
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting


class RoutedPool(NamedTuple):
    """Facts of a pool that matter to a router."""

    name: str
    """Name of the pool."""
    takes_requests: bool
    """Whether the router may send requests to the pool; a pool that only decodes takes none."""
    no_kv_events: str
    """Why the pool reports no blocks of its prefix cache; empty if it reports them."""


class Routed(NamedTuple):
    """Facts of a scenario that matter to a router."""

    pools: Sequence[RoutedPool]
    """All pools, in order."""
    classes: Sequence[str]
    """Names of the classes of requests."""
    has_sessions: bool
    """Whether requests are, or may be, turns of sessions; a trace is not read to find out."""
    has_output_limit: bool
    """Whether clients limit the tokens of the answer."""


class RoutingPolicy(Description):
    """Base of the policies that choose the replica of a request."""

    @property
    def parts_lengths(self) -> bool:
        """Whether pools get prompts of different lengths."""
        return False

    @property
    def asks_for_classes(self) -> bool:
        """Whether the choice depends on the class of a request."""
        return False

    @property
    def reads_kv_events(self) -> bool:
        """Whether replicas report the blocks in their prefix caches."""
        return False

    @property
    def reads_temperatures_every_s(self) -> float | None:
        """Time between two readings of temperatures [s]; None if the policy reads none."""
        return None

    def leads_past(self, pool: str, others: Collection[str]) -> bool:
        """Return whether each request for a pool may go to one of some other pools instead."""
        return bool(others)

    @abstractmethod
    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run.

        Parameters
        ----------
        rng
            Generator of random numbers.
        setting
            What the policy may know of the cluster and its traffic.
        """

    def faults(self, routed: Routed) -> Iterator[tuple[Trail, str]]:
        """Yield what does not suit the scenario: keys below the router, and a sentence."""
        yield from ()

    def warnings(self, routed: Routed) -> Iterator[str]:
        """Yield what is allowed, and probably not meant."""
        yield from ()
