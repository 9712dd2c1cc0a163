"""KVCacheSpec: the KV cache of one replica, as its scheduler is told."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from cluster_sim.physics.cache_groups import (
    CacheGroup,
    longest_sequence,
    mean_pages,
    most_pages,
    pages_held,
)
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
    groups: tuple[CacheGroup, ...] = ()
    """Groups of layers that share the blocks; empty where one group of layers has all of them."""
    pages: int = 0
    """Number of blocks that the groups share."""

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.pages if self.groups else self.kv_tokens // self.block_tokens

    def longest(self, step_tokens: int) -> int:
        """Return the tokens of the largest sequence that fits alone, in steps of `step_tokens`."""
        if self.groups:
            return longest_sequence(self.groups, self.pages, step_tokens)
        return self.blocks * self.block_tokens

    def sequences(self, tokens: float, step: float = 1.0) -> float:
        """Return how many sequences of `tokens` tokens fit at once, in steps of `step` of each.

        Blocks are left out where one group of layers has them all.
        """
        if self.groups:
            return self.pages / most_pages(self.groups, ceil(tokens), ceil(step))
        return self.kv_tokens / tokens

    def whole_sequences(self, tokens: int) -> int:
        """Return how many sequences of `tokens` tokens fit at once in whole blocks."""
        return self.blocks // self.most_blocks(tokens, 1)

    def mean_sequences(self, tokens: float) -> float:
        """Return how many sequences of `tokens` in the mean fit, half a block of each being empty."""
        if self.groups:
            return self.pages / mean_pages(self.groups, tokens)
        return self.kv_tokens / (tokens + self.block_tokens / 2)

    def blocks_during(self, tokens: int, step: int) -> int:
        """Return the blocks of a sequence while a step works on the last `step` of its `tokens`."""
        if self.groups:
            return pages_held(self.groups, tokens, step)
        return -(-tokens // self.block_tokens)

    def most_blocks(self, tokens: int, step: int) -> int:
        """Return the most blocks of a sequence that grows to `tokens` in steps of up to `step`."""
        if self.groups:
            return most_pages(self.groups, tokens, step)
        return -(-tokens // self.block_tokens)
