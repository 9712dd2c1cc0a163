"""Time of one collective of a group of devices, alone on their network.

It depends on the size of the tensor and on the number of ranks.
"""

from __future__ import annotations

import numpy as np

from cluster_sim.hardware.collective_fits import CollectiveFit, CollectiveKind, OneShotFit
from cluster_sim.typing import Array, Number

IN_SWITCH_RANKS = 8
"""Number of ranks from which switches make the sums (NVLink SHARP), where the fit has it help."""

BEYOND_MEASURED_S = 0.5e-6
"""Additional time of a collective over more ranks than were measured [s].

Reduction in the switch keeps start and bandwidth, a little start is added. Estimate; no public
measurement beyond 8 ranks of one NVLink domain."""

_CROSSINGS: dict[CollectiveKind, float] = {
    "all_reduce": 2.0,
    "all_reduce_vllm": 2.0,
    "nccl_all_reduce": 2.0,
    "all_gather": 1.0,
    "reduce_scatter": 1.0,
    "all_to_all": 1.0,
}
"""How often each part of the tensor crosses the links: scattered, gathered, or both."""


def all_reduce_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time of one all-reduce [s].

    The faster of two algorithms counts. One-shot, where the fit has it: each rank reads the tensors
    of all others, n - 1 of them, which hides partly behind the start. Two-shot or ring: a
    reduce-scatter and an all-gather move 2 (n - 1) / n of the tensor over the links of each rank
    (Hockney's alpha-beta model, Parallel Computing 20(3), 1994; Thakur et al., Int. J. High
    Performance Computing Applications 19(1), 2005), at a rate that climbs with the size: to the
    time x at full rate comes climb^(1-e) x^e. The time rises with the size. A group of more ranks
    than were measured takes BEYOND_MEASURED_S more than the largest that was.

    Parameters
    ----------
    fit
        Constants of the collective.
    ranks
        Number of devices that take part; the time is 0 for a lone device.
    size_bytes
        Size of the tensor [B].

    Raises
    ------
    ValueError
        There is no fit for a group.
    """
    return _seconds(fit, ranks, 2.0, size_bytes)


def all_gather_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time until each of `ranks` devices has the whole tensor of `size_bytes` [s].

    Each held one part of it before. Otherwise as `all_reduce_s`.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def reduce_scatter_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time until each of `ranks` devices has its part of the sum of tensors [s].

    Each tensor has `size_bytes`. Otherwise as `all_reduce_s`.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def all_to_all_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time until each of `ranks` devices has sent an equal part to each other one [s].

    The parts of one device have `size_bytes` together. Otherwise as `all_reduce_s`.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def collectives_s(
    fit: CollectiveFit, kind: CollectiveKind, ranks: Number, size_bytes: Number
) -> Array:
    """Return the times of many collectives of one kind at once [s].

    Parameters
    ----------
    fit
        Constants of that kind.
    kind
        Kind of all of them.
    ranks
        Numbers of devices that take part, at least 2 and no more than were measured.
    size_bytes
        Sizes of the tensors [B].
    """
    ranks, size_bytes = np.asarray(ranks, dtype=float), np.asarray(size_bytes, dtype=float)
    links_bytes = moved_bytes(kind, ranks, size_bytes)
    seconds: Array = _ring_s(fit, ranks, links_bytes, size_bytes)
    return (
        seconds
        if fit.one_shot is None
        else np.minimum(_one_shot_s(fit.one_shot, ranks, size_bytes), seconds)
    )


def moved_bytes(kind: CollectiveKind, ranks: Array, size_bytes: Array) -> Array:
    """Return the least bytes over the links of each rank in one direction [B]."""
    return _CROSSINGS[kind] * (ranks - 1.0) / ranks * size_bytes


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


def _one_shot_s(fit: OneShotFit, ranks: Number, size_bytes: Number) -> Number:
    start_s = fit.start_s + fit.rank_s * (ranks - 1)
    moving_s = (ranks - 1) * size_bytes / fit.bandwidth_bytes_per_s
    return (start_s**fit.overlap + moving_s**fit.overlap) ** (1.0 / fit.overlap)


def _ring_s(fit: CollectiveFit, ranks: Number, links_bytes: Number, size_bytes: Number) -> Number:
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
