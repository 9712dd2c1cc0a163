"""The operating point of a device: shares of its clock, memory bandwidth and link bandwidth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from cluster_sim.schema import Description


class Pace(NamedTuple):
    """What a device has, as shares, each above 0 and at most 1, of what it has cool and alone."""

    clock: float = 1.0
    """Of the clock at which it runs the same work cool: the highest, or what its own power limit
    leaves of that."""
    memory: float = 1.0
    """Of the bandwidth of its memory: what other traffic and refreshing leave."""
    links: float = 1.0
    """Of the bandwidth of the links that its group's collectives cross."""


FULL_PACE = Pace()


CLOCK_ON_BANDWIDTH = 0.13
"""Power of the clock that reading memory follows: at 0.795 of its clock a bandwidth-bound decode
ran at 0.95 (RTX 3090), where a tenth of it is held to be starts of kernels, which go as the clock
(estimate)."""


Kernel = TypeVar("Kernel", bound=Description)


def scaled_by(fit: Kernel, scales: Mapping[str, float]) -> Kernel:
    """`fit` with those of its numbers multiplied that are in `scales`; what it leaves out stays so."""
    known = ((name, getattr(fit, name, None), scale) for name, scale in scales.items())
    return fit.model_copy(
        update={name: value * scale for name, value, scale in known if value is not None}
    )


def at_clock(fit: Kernel, clock: float, memory: float) -> Kernel:
    """A fit of kernels at `clock` (share of the highest, above 0) with the share `memory` of the
    memory bus (above 0).

    Times grow by 1 / clock and rates of computing fall with it, those of partial sums too, which
    stay in the cache; rates of memory fall with clock^0.13 and with the share of the bus.
    """
    if clock == memory == 1.0:
        return fit
    reading = memory * clock**CLOCK_ON_BANDWIDTH
    scales = {"bandwidth_bytes_per_s": reading, "tile_bandwidth_bytes_per_s": reading}
    scales |= {"compute_flop_per_s": clock, "partial_bandwidth_bytes_per_s": clock}
    scales |= {
        name: 1.0 / clock
        for name in type(fit).model_fields
        if name.endswith("_s") and not name.endswith("_per_s")
    }
    return scaled_by(fit, scales)
