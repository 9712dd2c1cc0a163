"""The operating point of a device: shares of its clock, memory bandwidth and link bandwidth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from cluster_sim.schema import Description


class OperatingPoint(NamedTuple):
    """Shares of clock and bandwidths of a device, relative to a cool device without other traffic.

    Each share is above 0 and at most 1.
    """

    clock: float = 1.0
    """Share of the clock at which a cool device runs the same work. That clock is the highest, or
    what the device's own power limit allows."""
    memory: float = 1.0
    """Share of the memory bandwidth that other traffic and refreshing leave."""
    links: float = 1.0
    """Share of the bandwidth of the links that the collectives of the device's group cross inside
    nodes."""
    rails: float = 1.0
    """Share of the bandwidth between the nodes of the device's group."""

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of the clock, of the memory bandwidth, and of the bandwidth of collectives."""
        clock, memory, links, rails = self
        return clock, memory, links if links < rails else rails


FULL_SPEED = OperatingPoint()


CLOCK_ON_BANDWIDTH = 0.13
"""Exponent of the clock in the rate of reading memory.

A bandwidth-bound decode ran at 0.95 of its speed with 0.795 of the clock (RTX 3090). A tenth of its
time is assumed to be launches of kernels, which follow the clock itself (estimate).
"""

Fit = TypeVar("Fit", bound=Description)


def scaled_by(fit: Fit, scales: Mapping[str, float]) -> Fit:
    """Return `fit` with some of its numbers multiplied.

    Parameters
    ----------
    fit
        Description of hardware.
    scales
        Factor by the name of the field. Absent numbers stay absent.
    """
    known = ((name, getattr(fit, name, None), scale) for name, scale in scales.items())
    return fit.model_copy(
        update={name: value * scale for name, value, scale in known if value is not None}
    )
