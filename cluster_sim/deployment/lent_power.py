"""Shares of a power cap that follow what nodes ask for: max-min fair, or by rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Ask(NamedTuple):
    """Power that a node always draws, asks for and could draw."""

    least_w: float
    wanted_w: float
    most_w: float


def lent(cap_w: float, asks: Sequence[Ask], ranks: Sequence[int]) -> list[float]:
    """Return the share of each node in a cap [W].

    Nodes of lower rank get what they ask for first. Nodes of one rank share max-min fairly: no
    share can grow except at the cost of a share that is as small (Bertsekas and Gallager, Data
    Networks, 2nd edition, 1992, section 6.5.2). Power that nobody asks for is given in the same
    order, in parts that are equal within a rank, up to what each node could draw.

    Parameters
    ----------
    cap_w
        Cap of all nodes together [W]; at least what they always draw.
    asks
        Power that each node asks for.
    ranks
        Rank of each node; 0 is served first.

    Examples
    --------
    Of 900 W, the first node asks for little, and two busy nodes share what it leaves:

    >>> lent(900.0, [Ask(100.0, 200.0, 700.0), Ask(100.0, 700.0, 700.0), Ask(100.0, 500.0, 700.0)], [0, 0, 0])
    [200.0, 350.0, 350.0]
    """
    given_w = [ask.least_w for ask in asks]
    ranked = [
        [place for place, rank in enumerate(ranks) if rank == least] for least in sorted(set(ranks))
    ]
    for members in ranked:
        rest_w = max(cap_w - sum(given_w), 0.0)
        ranges = [(given_w[place], asks[place].wanted_w) for place in members]
        for place, watts in zip(members, _filled(rest_w, ranges), strict=True):
            given_w[place] = watts
    for members in ranked:
        rest_w = max(cap_w - sum(given_w), 0.0)
        ranges = [(0.0, asks[place].most_w - given_w[place]) for place in members]
        for place, watts in zip(members, _filled(rest_w, ranges), strict=True):
            given_w[place] += watts
    return given_w


def _filled(rest_w: float, ranges: Sequence[tuple[float, float]]) -> list[float]:
    """Return values min(max(level, low), high) of ranges (low, high), with one level for all.

    The values exceed the lows by `rest_w` together, or reach all highs.
    """
    level = _level(rest_w, ranges)
    return [min(max(level, low), max(high, low)) for low, high in ranges]


def _level(rest_w: float, ranges: Sequence[tuple[float, float]]) -> float:
    """Return the level at which values within ranges exceed their lows by `rest_w` together."""
    turns = sorted(
        [(low, 1) for low, high in ranges if high > low]
        + [(high, -1) for low, high in ranges if high > low]
    )
    level, rising = turns[0][0] if turns else 0.0, 0
    for at_w, change in turns:
        if rising and rising * (at_w - level) >= rest_w:
            return level + rest_w / rising
        rest_w -= rising * (at_w - level)
        level, rising = at_w, rising + change
    return level
