"""Acceptance of drafted tokens: by position in the draft, and by the context of the request."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import log
from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import Count

ShareOrZero = Annotated[float, Field(ge=0.0, le=1.0)]
"""Share from 0 to 1, in a description."""


class AcceptanceAt(Description):
    """Acceptance of the first drafted token at one context length."""

    context: Count
    """Number of tokens before the draft."""
    first: ShareOrZero
    """Probability that the first token of a draft is accepted."""


def share_at(points: Sequence[AcceptanceAt], context: float) -> float:
    """Return the acceptance of the first drafted token at a context length.

    It is linear in the logarithm of the context between two points, and constant outside.

    Parameters
    ----------
    points
        Measured shares, by ascending context.
    context
        Number of tokens before the draft.

    Examples
    --------
    Halfway between 100 and 10,000 tokens in the logarithm:

    >>> points = [AcceptanceAt(context=100, first=0.8), AcceptanceAt(context=10_000, first=0.6)]
    >>> round(share_at(points, 1_000), 9), share_at(points, 50_000)
    (0.7, 0.6)
    """
    place = bisect_right([point.context for point in points], context)
    if place in (0, len(points)):
        return points[max(place - 1, 0)].first
    before, after = points[place - 1], points[place]
    along = log(context / before.context) / log(after.context / before.context)
    return before.first + along * (after.first - before.first)


def scaled(positions: Sequence[float], factor: float) -> tuple[float, ...]:
    """Return acceptances by position if each token is accepted `factor` times as often.

    The acceptance of a token, given that all before it were accepted, is multiplied by the factor,
    up to 1.

    Examples
    --------
    >>> scaled((0.8, 0.4), 0.5)  # 0.8 and 0.5 become 0.4 and 0.25
    (0.4, 0.1)
    """
    kept, before, result = 1.0, 1.0, []
    for share in positions:
        kept *= min(factor * share / before, 1.0) if before else 0.0
        before = share
        result.append(kept)
    return tuple(result)


def with_length(positions: Sequence[float], length: float) -> tuple[float, ...]:
    """Return acceptances by position, scaled to a mean number of tokens per step.

    Parameters
    ----------
    positions
        Probability that a draft is accepted up to each position.
    length
        Mean number of tokens per sequence and step, the generated one included.

    Examples
    --------
    >>> round(sum(with_length((0.8, 0.4), 1.5)), 9)
    0.5
    """
    low, high = 0.0, 1.0 / max(min(positions), 1e-9)
    for _ in range(60):
        middle = 0.5 * (low + high)
        too_few = 1.0 + sum(scaled(positions, middle)) < length
        low, high = (middle, high) if too_few else (low, middle)
    return scaled(positions, high)
