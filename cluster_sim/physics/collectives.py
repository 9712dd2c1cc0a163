"""Time of one collective of a group of devices, alone on their network: by its size and by how many
take part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cluster_sim.hardware.collective_fits import CollectiveFit, CollectiveKind, OneShotFit

# groups from here on have their sums made by the switches (NVLink SHARP), where the fit says that
# it helps
IN_SWITCH_RANKS = 8

# A collective over more ranks than were measured: reduction in the switch keeps start and
# bandwidth, a little start is added.
# Estimate; no public measurement beyond 8 ranks of one NVLink domain.
BEYOND_MEASURED_S = 0.5e-6

_CROSSINGS: dict[
    CollectiveKind, float
] = {  # how often each part of the tensor crosses the links: scattered, gathered, or both
    "all_reduce": 2.0,
    "all_reduce_vllm": 2.0,
    "nccl_all_reduce": 2.0,
    "all_gather": 1.0,
    "reduce_scatter": 1.0,
    "all_to_all": 1.0,
}


def all_reduce_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Seconds that one all-reduce of a tensor of `size_bytes` takes over `ranks` devices; 0 for a
    lone device.

    The faster of two algorithms. One-shot, where the fit has it: each rank reads the tensors of all
    others, n - 1 of them, which hides partly behind the start. Two-shot or ring: a reduce-scatter
    and an all-gather, 2 (n - 1) / n of the tensor over the links of each rank (Hockney's alpha-beta
    model, Parallel Computing 20(3), 1994; Thakur et al., Int. J. High Performance Computing
    Applications 19(1), 2005), at a rate that climbs with the size: to the time x at full rate comes
    climb^(1-e) x^e. Rises with the size. A group of more ranks than were measured takes
    BEYOND_MEASURED_S more than the largest that was. Raises ValueError where a group has no fit.
    """
    return _seconds(fit, ranks, 2.0, size_bytes)


def all_gather_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Seconds until each of `ranks` devices has the whole tensor of `size_bytes` of which it held
    one part; else as `all_reduce_s`.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def reduce_scatter_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Seconds until each of `ranks` devices has its part of the sum of their tensors of
    `size_bytes`; else as `all_reduce_s`.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def all_to_all_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Seconds until each of `ranks` devices has sent an equal part of its `size_bytes` to each
    other; else as `all_reduce_s`.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def collectives_s(
    fit: CollectiveFit, op: CollectiveKind, ranks: ArrayLike, size_bytes: ArrayLike
) -> NDArray[np.float64]:
    """Seconds of many collectives of the kind `op` at once, arrays of `ranks` (at least 2, no more
    than were measured) and sizes [B].
    """
    ranks, size_bytes = np.asarray(ranks, dtype=float), np.asarray(size_bytes, dtype=float)
    links_bytes = moved_bytes(op, ranks, size_bytes)
    seconds: NDArray[np.float64] = _ring_s(fit, ranks, links_bytes, size_bytes)
    return (
        seconds
        if fit.one_shot is None
        else np.minimum(_one_shot_s(fit.one_shot, ranks, size_bytes), seconds)
    )


def moved_bytes(
    op: CollectiveKind, ranks: NDArray[np.float64], size_bytes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a collective of the kind `op` moves at least over the links of each rank, one direction
    [B].
    """
    return _CROSSINGS[op] * (ranks - 1.0) / ranks * size_bytes


def _seconds(fit: CollectiveFit | None, ranks: int, crossings: float, size_bytes: float) -> float:
    if ranks == 1:
        return 0.0
    if fit is None:
        raise ValueError(f"no fit for a collective of {ranks}")
    known = min(ranks, fit.largest)
    seconds: float = _ring_s(fit, known, crossings * (known - 1) / known * size_bytes, size_bytes)
    if fit.one_shot is not None:
        seconds = min(_one_shot_s(fit.one_shot, known, size_bytes), seconds)
    return seconds + (BEYOND_MEASURED_S if ranks > known else 0.0)


# The two algorithms, for numbers and for arrays of them alike.


def _one_shot_s(fit: OneShotFit, ranks: Any, size_bytes: Any) -> Any:
    start_s, moving_s = (
        fit.start_s + fit.rank_s * (ranks - 1),
        (ranks - 1) * size_bytes / fit.bandwidth_bytes_per_s,
    )
    return (start_s**fit.overlap + moving_s**fit.overlap) ** (1.0 / fit.overlap)


def _ring_s(fit: CollectiveFit, ranks: Any, links_bytes: Any, size_bytes: Any) -> Any:
    saved = 1.0 + (fit.in_switch - 1.0) * (ranks >= IN_SWITCH_RANKS)
    moving_s = links_bytes / (saved * fit.link_bandwidth_bytes_per_s)
    if fit.copy_bandwidth_bytes_per_s is not None:
        moving_s = moving_s + size_bytes / fit.copy_bandwidth_bytes_per_s
    return (
        fit.start_s
        + fit.rank_s * (ranks - 1)
        + moving_s
        + fit.climb_s ** (1.0 - fit.climb_exponent) * moving_s**fit.climb_exponent
    )
