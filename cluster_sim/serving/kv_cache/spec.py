"""KVCacheSpec: the KV cache of one replica, as its scheduler is told."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.serving.kv_cache.offload import Level


class KVCacheSpec(NamedTuple):
    """Size of a replica's KV cache, and what is done where it runs out."""

    kv_tokens: int
    """KV cache capacity [tokens]."""
    block_tokens: int
    """Number of tokens of a block."""
    watermark: float = 0.0
    """Share of the blocks that admission leaves free for running sequences to grow."""
    prefix_caching: bool = False
    """Whether blocks stay findable by their content after their request has left."""
    swap_blocks: int = 0
    """Number of blocks that the host keeps of preempted requests; 0: they are recomputed."""
    swap_block_s: float = 0.0
    """Time to move a block to the host or back [s]."""
    offload: tuple[Level, ...] = ()
    """Tiers behind the devices, for blocks that the prefix cache throws away."""
