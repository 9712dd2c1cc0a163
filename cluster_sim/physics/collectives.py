"""Collectives of a tensor-parallel group: alpha-beta fits, alone on their network."""

from __future__ import annotations

from collections.abc import Mapping

from cluster_sim.hardware import AllReduceFit

# An all-reduce over more ranks than were measured: reduction in the switch keeps start and bandwidth, a little start is added.
# Estimate; no public measurement beyond 8 ranks of one NVLink domain.
BEYOND_MEASURED_S = 0.5e-6


def all_reduce_s(fits: Mapping[int, AllReduceFit], ranks: int, size_bytes: float) -> float:
    """Seconds that one all-reduce of a tensor of `size_bytes` takes over `ranks` devices; 0 for a lone device.

    The faster of a latency-optimal and a bandwidth-optimal algorithm, each a straight line in the size (Hockney's
    alpha-beta model, Parallel Computing 20(3), 1994). A group that was not measured takes the next larger one's fit; one
    larger than all takes the largest's and BEYOND_MEASURED_S.
    Raises ValueError where the device has no fit at all.
    """
    if ranks == 1:
        return 0.0
    if not fits:
        raise ValueError(f"no all-reduce fit for a group of {ranks}")
    measured = min((known for known in fits if known >= ranks), default=max(fits))
    fit = fits[measured]
    low_s = fit.low_start_s + size_bytes / fit.low_bandwidth_bytes_per_s
    high_s = fit.high_start_s + size_bytes / fit.high_bandwidth_bytes_per_s
    return min(low_s, high_s) + (BEYOND_MEASURED_S if measured < ranks else 0.0)
