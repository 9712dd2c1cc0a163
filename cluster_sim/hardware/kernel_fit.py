"""Base of the constants of all kinds of kernels."""

from __future__ import annotations

from typing import Self

from cluster_sim.hardware.operating_point import CLOCK_ON_BANDWIDTH, scaled_by
from cluster_sim.schema import Description

_IN_CACHE = ("partial_bandwidth_bytes_per_s", "cache_bandwidth_bytes_per_s")
"""Fields with rates of the cache, which follow the clock."""


class KernelFit(Description):
    """Constants of one kind of kernel at the highest clock, with the whole memory bandwidth."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """Return the constants at a lower clock, with a part of the memory's bandwidth.

        Times grow by 1 / clock. Compute rates fall with the clock, and so do rates of data that
        stay in the cache. Rates of memory fall with clock^0.13 and with the share of the
        bandwidth.

        Parameters
        ----------
        clock
            Share of the highest clock, above 0 and at most 1 [1].
        memory
            Share of the memory's bandwidth that other traffic leaves, above 0 and at most 1 [1].
        """
        if clock == memory == 1.0:
            return self
        reading = memory * clock**CLOCK_ON_BANDWIDTH
        scales = {}
        for name in type(self).model_fields:
            if name.endswith("_flop_per_s") or name in _IN_CACHE:
                scales[name] = clock
            elif name.endswith("_bytes_per_s"):
                scales[name] = reading
            elif name.endswith("_s"):
                scales[name] = 1.0 / clock
        return scaled_by(self, scales)
