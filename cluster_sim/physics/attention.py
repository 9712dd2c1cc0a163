"""Shape of attention kernels, and what decode and prefill attention have in common.

`decode_attention` and `prefill_attention` hold the times of one kernel on one device, fitted to
measured kernels (`calibration.attention`). The caller applies tensor parallelism: a shape has the
heads of one device. The caller also applies windows: a layer with a window reads min(context,
window) of `context` keys, in decode and in prefill.

Range of the measurements: batches up to 2,048, up to 128 heads with widths up to 512, contexts up to
131,072 tokens, prompts up to 16,384 tokens. Beyond them the lines are extrapolated: no time becomes
negative, and no time falls when a count grows. Prefill after cached tokens was not measured. There
`past` counts by its pairs, its bytes and the length of the loop over the keys. The measurements
repeated each kernel on the same data, so keys of about 10 MB came from the L2 cache and not from
memory. The lines are up to a fifth too slow there, but right for a step that reads its weights in
between.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.typing import Number

TILE_KEYS = 128
"""Number of keys that a thread block processes per tile."""


class AttentionShape(NamedTuple):
    """Shape of attention on one device; numbers, or arrays of one value per kernel."""

    heads: Number
    """Number of query heads."""
    kv_heads: Number
    """Number of key and value heads."""
    head_dim: Number
    """Width of a head."""
    kv_bytes: Number
    """Size of one value of the KV cache [B]."""


def above(count: Number, free: float) -> Number:
    """Return max(count - free, 0), element by element for arrays.

    >>> above(5.0, 3.0), above(1.0, 3.0)
    (2.0, 0.0)
    """
    beyond = count - free
    return (beyond + abs(beyond)) / 2
