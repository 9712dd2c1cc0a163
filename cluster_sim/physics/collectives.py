"""Time of one collective of a group of devices that is alone on its network.

The time depends on the size of the tensor and on the number of ranks.
"""

from __future__ import annotations

import numpy as np

from cluster_sim.hardware.collective_fits import CollectiveFit, CollectiveKind, OneShotFit
from cluster_sim.typing import Array, Number

IN_SWITCH_RANKS = 8
"""Number of ranks from which switches compute the sums (NVLink SHARP), if the fit says that this
helps."""

BEYOND_MEASURED_S = 0.5e-6
"""Additional time of a collective over more ranks than were measured [s].

The start grows a little; bandwidth and reduction in the switch are those of the measured ranks.
Estimate: there is no public measurement beyond 8 ranks of one NVLink domain.
"""

_CROSSINGS: dict[CollectiveKind, float] = {
    "all_reduce": 2.0,
    "all_reduce_vllm": 2.0,
    "all_reduce_sglang": 2.0,
    "nccl_all_reduce": 2.0,
    "all_gather": 1.0,
    "reduce_scatter": 1.0,
    "all_to_all": 1.0,
}
"""Number of times that each part of the tensor crosses the links: scattered, gathered, or both."""


def all_reduce_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time of one all-reduce [s].

    The faster one of two algorithms counts.

    * One-shot, if the fit has it: each rank reads the n - 1 tensors of the other ranks. Reading
      overlaps partly with the start.
    * Two-shot or ring: a reduce-scatter and an all-gather move 2 (n - 1) / n of the tensor over the
      links of each rank, at a bandwidth that grows with the size. The term climb^(1-e) x^e is added
      to the time x at full bandwidth.

    * Devices that are linked in pairs have one link to each other device. Of a mesh of m devices, a
      group of n uses (n - 1) / (m - 1) of the bandwidths.

    The time grows with the size. A group with more ranks than were measured takes the time of the
    largest measured group plus BEYOND_MEASURED_S.

    Source: Hockney's alpha-beta model, Parallel Computing 20(3), 1994; Thakur et al., Int. J. High
    Performance Computing Applications 19(1), 2005.

    Parameters
    ----------
    fit
        Constants of the collective; None if the device has no fit.
    ranks
        Number of devices that take part; the time is 0 for one device.
    size_bytes
        Size of the tensor [B].

    Returns
    -------
    float
        Time [s].

    Raises
    ------
    ValueError
        The group has two or more devices and no fit.

    Examples
    --------
    900 MB over the links of each of 8 ranks at 450 GB/s, and 10 us:

    >>> fit = CollectiveFit.model_validate({"start": "10 us", "link_bandwidth": "450 GB/s"})
    >>> round(all_reduce_s(fit, 8, 514_285_714), 6)
    0.00201
    """
    return _seconds(fit, ranks, 2.0, size_bytes)


def all_gather_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time until each of `ranks` devices has the whole tensor of `size_bytes` [s].

    Each device starts with one part of the tensor. The model and the parameters are those of
    `all_reduce_s`, with half of its traffic.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def reduce_scatter_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time until each of `ranks` devices has its part of a sum of tensors [s].

    Each tensor has `size_bytes`. The model and the parameters are those of `all_reduce_s`, with
    half of its traffic.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def all_to_all_s(fit: CollectiveFit | None, ranks: int, size_bytes: float) -> float:
    """Return the time until each of `ranks` devices has sent an equal part to each other one [s].

    The parts of one device have `size_bytes` together. The model and the parameters are those of
    `all_reduce_s`, with half of its traffic.
    """
    return _seconds(fit, ranks, 1.0, size_bytes)


def collectives_s(
    fit: CollectiveFit, kind: CollectiveKind, ranks: Number, size_bytes: Number
) -> Array:
    """Return the times of many collectives of one kind [s].

    The model is that of `all_reduce_s`.

    Parameters
    ----------
    fit
        Constants of the kind.
    kind
        Kind of the collectives.
    ranks
        Numbers of devices that take part, from 2 to the largest that was measured.
    size_bytes
        Sizes of the tensors [B].

    Returns
    -------
    Array
        Time of each collective [s].

    Examples
    --------
    450 MB over the links of each of two ranks at 450 GB/s, and 10 us:

    >>> fit = CollectiveFit.model_validate({"start": "10 us", "link_bandwidth": "450 GB/s"})
    >>> round(float(collectives_s(fit, "all_gather", 2, 900e6)), 6)
    0.00101
    """
    ranks, size_bytes = np.asarray(ranks, dtype=float), np.asarray(size_bytes, dtype=float)
    share = links_share(fit, ranks)
    links_bytes = moved_bytes(kind, ranks, size_bytes) / share
    seconds: Array = _ring_s(fit, ranks, links_bytes, size_bytes)
    return (
        seconds
        if fit.one_shot is None
        else np.minimum(_one_shot_s(fit.one_shot, ranks, size_bytes / share), seconds)
    )


def links_share(fit: CollectiveFit, ranks: Number) -> Number:
    """Return the share of a device's links that lead to devices of a group.

    Examples
    --------
    Two of eight devices that are linked in pairs share one link of seven:

    >>> keys = {"start": "10 us", "link_bandwidth": "448 GB/s", "meshed": 8}
    >>> fit = CollectiveFit.model_validate(keys)
    >>> round(links_share(fit, 2) * 448), links_share(fit, 8)
    (64, 1.0)
    """
    return 1.0 if fit.meshed is None else (ranks - 1) / (fit.meshed - 1)


def moved_bytes(kind: CollectiveKind, ranks: Array, size_bytes: Array) -> Array:
    """Return the minimum number of bytes over the links of each rank, in one direction [B].

    Parameters
    ----------
    kind
        Kind of the collectives.
    ranks
        Numbers of devices that take part.
    size_bytes
        Sizes of the tensors [B].

    Returns
    -------
    Array
        Bytes of each collective [B].

    Examples
    --------
    >>> float(moved_bytes("all_reduce", np.array(8.0), np.array(4.0)))  # 2 x 7/8 x 4
    7.0
    """
    return _CROSSINGS[kind] * (ranks - 1.0) / ranks * size_bytes


def _seconds(fit: CollectiveFit | None, ranks: int, crossings: float, size_bytes: float) -> float:
    if ranks == 1:
        return 0.0
    if fit is None:
        raise ValueError(f"no fit for a collective of {ranks}")
    known = min(ranks, fit.largest)
    share = links_share(fit, known)
    links_bytes = crossings * (known - 1) / known * size_bytes / share
    seconds: float = _ring_s(fit, known, links_bytes, size_bytes)
    if fit.one_shot is not None:
        seconds = min(_one_shot_s(fit.one_shot, known, size_bytes / share), seconds)
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
