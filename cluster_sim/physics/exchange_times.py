"""Time of one way of an exchange of tokens between attention and experts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.exchange_fits import OneWayFit
from cluster_sim.typing import Number


class Parcels(NamedTuple):
    """Copies of tokens that one device sends."""

    tokens: Number
    """Number of tokens on the device."""
    copies: Number
    """Number of copies per token."""
    row_bytes: Number
    """Size of one copy [B]."""
    ranks: Number
    """Number of devices that take part, within one node."""
    experts: Number
    """Number of experts of the layer, redundant ones included."""
    processors: Number = 1
    """Number of processors that send."""
    fullest: Number = 1.0
    """Ratio of the copies of the fullest device to the mean."""


def one_way_s(fit: OneWayFit, parcels: Parcels, beside_s: Number = 0.0) -> Number:
    """Return the time of one way of an exchange [s].

        start = start_s + doubling_s log2(R) + expert_s E + copies start_copy_s
                + row (1 / first_row + copies / first_copies)
        send  = tokens / processors (token_s + copies (copy_s + row / processor))
        wire  = fullest tokens copies row (R - 1) / R / link
        time  = |start, |send, wire|_knee|_overlap, with |x, y|_p = (x^p + y^p)^(1/p)

    The times of processors and links overlap, and so do a start and what follows. Copies for the
    device itself do not cross its links.

    Source: form and constants are fits to tables of NVIDIA's collectors (aiconfigurator@095f58a:
    wideep_deepep_ll_perf, wideep_deepep_normal_perf, trtllm_alltoall_perf).

    Parameters
    ----------
    fit
        Constants of the way.
    parcels
        Copies that each device sends.
    beside_s
        Further time of sending that overlaps with both, such as that over the network [s].

    Returns
    -------
    Number
        Time [s].

    Examples
    --------
    64 tokens of 7,168 B go to 8 experts on 8 devices: 7/8 of 3.67 MB at 321 GB/s, after 10 us:

    >>> keys = {"start": "10 us", "processor_bandwidth": "1 PB/s", "link_bandwidth": "321 GB/s"}
    >>> fit = OneWayFit.model_validate(keys)
    >>> round(float(one_way_s(fit, Parcels(64, 8, 7168, 8, 256))) * 1e6, 2)
    20.0
    """
    tokens, copies, row_bytes, ranks, experts, processors, fullest = parcels
    start_s = (
        fit.start_s
        + (fit.doubling_s * np.log2(ranks) if fit.doubling_s else 0.0)
        + fit.expert_s * experts
        + fit.start_copy_s * copies
        + _moved_s(row_bytes, fit.first_row_bandwidth_bytes_per_s)
        + _moved_s(row_bytes * copies, fit.first_copies_bandwidth_bytes_per_s)
    )
    sent_bytes = tokens * copies * row_bytes
    send_s = (
        tokens * (fit.token_s + copies * fit.copy_s)
        + sent_bytes / fit.processor_bandwidth_bytes_per_s
    ) / processors
    wire_s = fullest * sent_bytes * (ranks - 1) / ranks / fit.link_bandwidth_bytes_per_s
    work_s = norm(norm(send_s, wire_s, fit.knee), beside_s, BESIDE)
    return norm(start_s, work_s, fit.overlap)


BESIDE = 5.0
"""Exponent of the norm that combines sending within a node with sending over the network.

It is fitted to DeepEP's table of normal kernels on two to eight nodes of H800
(DeepEP docs/legacy.md), see docs/wide_groups.md.
"""


def norm(first: Number, second: Number, exponent: float) -> Number:
    """Return (first^p + second^p)^(1/p): the sum for p = 1, nearly the larger one for large p.

    >>> norm(3.0, 4.0, 1.0), norm(3.0, 4.0, 2.0)
    (7.0, 5.0)
    """
    if exponent == 1.0:
        return first + second
    return (first**exponent + second**exponent) ** (1.0 / exponent)


def _moved_s(size_bytes: Number, bandwidth_bytes_per_s: float | None) -> Number:
    return 0.0 if bandwidth_bytes_per_s is None else size_bytes / bandwidth_bytes_per_s
