"""KVCacheSpec: description of one replica's KV cache for its scheduler."""

from __future__ import annotations

from collections.abc import Callable
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
from cluster_sim.serving.kv_cache.shared_store import StoreView


class KVCacheSpec(NamedTuple):
    """Size of a replica's KV cache, and options for when it is full."""

    kv_tokens: int
    """KV cache capacity [tokens]."""
    block_tokens: int
    """Number of tokens per block."""
    watermark: float = 0.0
    """Share of the blocks that admission keeps free for running sequences to grow."""
    prefix_caching: bool = False
    """Whether blocks stay findable by their content after their request has left."""
    swap_blocks: int = 0
    """Number of blocks in host memory for preempted requests; 0 if they are recomputed."""
    swap_block_s: float = 0.0
    """Time to move a block to the host or back [s]."""
    offload: tuple[Level, ...] = ()
    """Offload tiers, for blocks that the prefix cache evicts."""
    groups: tuple[CacheGroup, ...] = ()
    """Groups of layers that share the blocks; empty if there is a single group."""
    pages: int = 0
    """Number of blocks that the groups share."""
    tell: Callable[[int, int], None] | None = None
    """Function that is told of changes of the prefix cache, see PrefixCache; None if nobody
    listens."""
    store: StoreView | None = None
    """Tier that is shared with other replicas; None if there is none."""

    @property
    def blocks(self) -> int:
        """Number of blocks of the replica."""
        return self.pages if self.groups else self.kv_tokens // self.block_tokens

    def longest(self, step_tokens: int) -> int:
        """Return the tokens of the longest sequence that fits alone, in steps of `step_tokens`."""
        if self.groups:
            return longest_sequence(self.groups, self.pages, step_tokens)
        return self.blocks * self.block_tokens

    def sequences(self, tokens: float, step: float = 1.0) -> float:
        """Return the number of sequences of `tokens` tokens that fit, in steps of `step` each.

        With a single group of layers, rounding to blocks is ignored.
        """
        if self.groups:
            return self.pages / most_pages(self.groups, ceil(tokens), ceil(step))
        return self.kv_tokens / tokens

    def whole_sequences(self, tokens: int) -> int:
        """Return the number of sequences of `tokens` tokens that fit in whole blocks.

        >>> spec = KVCacheSpec(kv_tokens=100, block_tokens=16)  # 6 blocks
        >>> spec.whole_sequences(17)  # 2 blocks each
        3
        """
        return self.blocks // self.most_blocks(tokens, 1)

    def mean_sequences(self, tokens: float) -> float:
        """Return the number of sequences of mean length `tokens` that fit.

        Half a block of each sequence is empty in the mean.
        """
        if self.groups:
            return self.pages / mean_pages(self.groups, tokens)
        return self.kv_tokens / (tokens + self.block_tokens / 2)

    def blocks_during(self, tokens: int, step: int) -> int:
        """Return the number of blocks during a step on the last `step` of a sequence's `tokens`."""
        if self.groups:
            return pages_held(self.groups, tokens, step)
        return -(-tokens // self.block_tokens)

    def most_blocks(self, tokens: int, step: int) -> int:
        """Return the peak number of blocks of a sequence up to `tokens`, in steps up to `step`."""
        if self.groups:
            return most_pages(self.groups, tokens, step)
        return -(-tokens // self.block_tokens)
