"""ExpertLoad: distribution of routed tokens over experts, and the rank that sets a step's time."""

from __future__ import annotations

from functools import lru_cache
from math import log, sqrt
from typing import NamedTuple, Protocol

import numpy as np

from cluster_sim.physics.fullest_group import fullest
from cluster_sim.physics.transformer import distinct_experts
from cluster_sim.typing import Number


class SpreadExperts(NamedTuple):
    """Experts of one layer, spread over groups of devices."""

    number: int
    """Number of experts of the layer."""
    slots: int
    """Number of places for experts in all groups: the experts and their redundant copies."""
    top_k: int
    """Number of experts per token."""
    groups: int
    """Number of groups that hold different slots. If they do not divide the slots, the first ones
    hold one more."""
    families: int = 1
    """Number of families of consecutive experts between which the router chooses first."""
    nodes: int = 1
    """Number of nodes over which the groups are spread."""


class RankLoad(NamedTuple):
    """Work of the experts on the group that sets the step's time."""

    rows: float
    """Number of rows, one per token and expert on the group."""
    active: float
    """Number of slots on the group that have at least one row."""


class ExpertLoad(Protocol):
    """Distribution of routed tokens over the experts of a layer."""

    def busiest(self, experts: SpreadExperts, tokens: int) -> RankLoad:
        """Return the work of the group that sets the step's time.

        Parameters
        ----------
        experts
            Experts of the layer and their spread over groups.
        tokens
            Number of tokens of all ranks, at least one.
        """
        ...

    def distinct(self, experts: SpreadExperts, tokens: Number) -> Number:
        """Return the number of slots of all groups that have at least one row.

        Parameters
        ----------
        experts
            Experts of the layer and their spread over groups.
        tokens
            Number of tokens of all ranks, or an array of them.
        """
        ...


class EvenLoad:
    """Experts that tokens pick with equal probability, so that groups differ by chance alone."""

    def busiest(self, experts: SpreadExperts, tokens: int) -> RankLoad:
        """Return the work of the group that sets the step's time; see `ExpertLoad.busiest`."""
        slots, top_k, groups = experts.slots, experts.top_k, experts.groups
        share, most = busiest_group(groups, top_k * tokens) / groups, slots / groups
        if slots % groups:
            return self._busiest_of_unequal(experts, tokens)
        active = min(share * self.distinct(experts, tokens), most)
        return RankLoad(share * top_k * tokens, active)

    def _busiest_of_unequal(self, experts: SpreadExperts, tokens: float) -> RankLoad:
        """Return the work of the fullest of groups of which the first ones hold one more slot."""
        slots, most = experts.slots, -(-experts.slots // experts.groups)
        rows, chance = _fullest_of_unequal(slots, experts.groups, experts.top_k * tokens)
        rows = min(rows, float(experts.top_k * tokens))
        active = chance * most / slots * self.distinct(experts, tokens)
        return RankLoad(rows, min(active, rows, float(most)))

    def distinct(self, experts: SpreadExperts, tokens: Number) -> Number:
        """Return the number of active slots; see `ExpertLoad.distinct`.

        Every expert has the same number of copies, or one more. Copies share the tokens of their
        expert evenly.
        """
        number, slots, top_k = experts.number, experts.slots, experts.top_k
        if slots == number:
            return distinct_experts(number, top_k, tokens)
        copies, more = divmod(slots, number)
        return (number - more) / number * distinct_experts(
            copies * number, top_k, tokens
        ) + more / number * distinct_experts((copies + 1) * number, top_k, tokens)


@lru_cache(10_000)
def _fullest_of_unequal(slots: int, groups: int, rows: float) -> tuple[float, float]:
    """Return the rows of the fullest group, and their ratio to its mean; see `fullest`."""
    low, more = divmod(slots, groups)
    held = np.array([[low + 1] * more + [low] * (groups - more)])
    of_group, chance = fullest(rows * held / slots)
    return float(of_group[0]), float(chance[0])


EVEN = EvenLoad()
"""Even load, the default."""


def busiest_group(groups: int, rows: float) -> float:
    """Return the load of the fullest group divided by the mean, with rows distributed at random.

        1 + sqrt(2 ln(groups) groups / rows), at most `groups`

    This is the expected maximum of `groups` normal variates with the variance of a Poisson count.
    It is at most `groups`, with all rows in one group. Estimate: routers of trained models balance
    a little better over long times, and worse over one topic.

    >>> busiest_group(1, 5.0), busiest_group(8, 1e12) < 1.0001
    (1.0, True)
    """
    return min(1.0 + sqrt(2.0 * log(groups) * groups / rows), float(groups))
