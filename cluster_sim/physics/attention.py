"""Shape of attention kernels, and what decode and prefill attention have in common."""

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
