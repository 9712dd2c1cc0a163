"""The operating point of a device: shares of its clock, memory bandwidth and link bandwidth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from cluster_sim.schema import Description


class OperatingPoint(NamedTuple):
    """What a device has, as shares, each above 0 and at most 1, of what it has cool and alone."""

    clock: float = 1.0
    """Of the clock at which it runs the same work cool: the highest, or what its own power limit
    leaves of that."""
    memory: float = 1.0
    """Of the bandwidth of its memory: what other traffic and refreshing leave."""
    links: float = 1.0
    """Of the bandwidth of the links that its group's collectives cross."""


FULL_SPEED = OperatingPoint()


CLOCK_ON_BANDWIDTH = 0.13
"""Exponent with which the rate of reading memory follows the clock.

A bandwidth-bound decode ran at 0.95 with 0.795 of the clock (RTX 3090). A tenth of its time is
taken to be starts of kernels, which follow the clock itself (estimate)."""

Fit = TypeVar("Fit", bound=Description)


def scaled_by(fit: Fit, scales: Mapping[str, float]) -> Fit:
    """Return `fit` with the numbers named in `scales` multiplied; absent numbers stay absent."""
    known = ((name, getattr(fit, name, None), scale) for name, scale in scales.items())
    return fit.model_copy(
        update={name: value * scale for name, value, scale in known if value is not None}
    )
