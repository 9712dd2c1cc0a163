"""Shape of attention kernels, and what those of decoding and prefill have in common.

`decode_attention` and `prefill_attention` hold the times of one kernel on one device, fitted to
measured kernels (`calibration.attention`). Tensor parallelism is the caller's: a shape has the
heads of one device. What a window hides is the caller's too: of `context` keys a layer with a
window reads min(context, window), in decoding as in prefill.

Outside what was measured (batch to 2,048, heads to 128 wide to 512, contexts to 131,072; prompts to
16,384) the lines go on as lines: nothing becomes negative, and more of anything never takes less
time. Prefill after cached tokens was not measured: there `past` counts by its pairs, its bytes and
the length of the walk over it. Kernels were measured over and over on the same data, so that keys
of some 10 MB come from the cache and not from memory: there the lines are too slow by up to a
fifth, and right for a step that reads its weights in between.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.typing import Number

TILE_KEYS = 128
"""Number of keys that a block of threads takes at a time."""


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
    """Return max(count - free, 0); of arrays, of each value.

    >>> above(5.0, 3.0), above(1.0, 3.0)
    (2.0, 0.0)
    """
    beyond = count - free
    return (beyond + abs(beyond)) / 2
