"""Bandwidth of a memory that several traffic streams share."""

from __future__ import annotations

from math import log2


def bandwidth_kept(stream_loss: float, mix_loss: float, streams: int, writing: float) -> float:
    """Return the share of its bandwidth that a memory keeps under mixed traffic.

        max((1 - stream_loss log2(streams)) (1 - mix_loss w (1 - w)), 0.1)

    with w the share of the bytes that are written. Each stream opens rows of the DRAM in turn, and
    the bus switches between reads and writes. Estimate; the catalog gives the source of the
    constants.

    Parameters
    ----------
    stream_loss
        Share of the bandwidth that each doubling of the streams costs [1].
    mix_loss
        Loss by mixing reads and writes [1]; a quarter of it applies if half of the bytes are written.
    streams
        Number of streams of traffic; less than 1 counts as 1.
    writing
        Share of the bytes that are written [1].

    Returns
    -------
    float
        Share of the bandwidth, at least 0.1 [1].

    Examples
    --------
    >>> round(bandwidth_kept(0.03, 0.16, 2, 0.5), 6)
    0.9312
    >>> bandwidth_kept(0.03, 0.16, 1, 0.0)
    1.0
    """
    return max(
        (1.0 - stream_loss * log2(max(streams, 1))) * (1.0 - mix_loss * writing * (1.0 - writing)),
        0.1,
    )
