"""ExpertLoad: distribution of routed tokens over experts, and the rank that sets the step's time."""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple, Protocol

from cluster_sim.physics.transformer import distinct_experts


class SpreadExperts(NamedTuple):
    """Experts of one layer, spread over groups of devices."""

    number: int
    """Number of experts of the layer."""
    slots: int
    """Number of places for experts in all groups: the experts and their redundant copies."""
    top_k: int
    """Number of experts per token."""
    groups: int
    """Number of groups that hold different slots."""


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


class EvenLoad:
    """Experts that tokens pick with equal probability, so that groups differ by chance alone."""

    def busiest(self, experts: SpreadExperts, tokens: int) -> RankLoad:
        """Return the work of the group that sets the step's time; see `ExpertLoad.busiest`."""
        number, slots, top_k, groups = experts
        share = busiest_group(groups, top_k * tokens) / groups
        active = min(share * distinct_experts(number, top_k, tokens), slots / groups)
        return RankLoad(share * top_k * tokens, active)


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
