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


class RankReports:
    """Reports of the prefix caches of a replica's attention data-parallel ranks.

    A router does not choose the rank: a piece counts as cached by the most tokens of any rank.

    Parameters
    ----------
    tell
        Function that is told of a piece and the number of its tokens in the caches.
    """

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        self._tokens: dict[int, dict[int, int]] = {}

    def of_rank(self, rank: int) -> Callable[[int, int], None]:
        """Return the function that one rank tells of its changes.

        >>> said = []
        >>> reports = RankReports(lambda piece, tokens: said.append((piece, tokens)))
        >>> reports.of_rank(0)(7, 32), reports.of_rank(1)(7, 16), reports.of_rank(0)(7, 0)
        (None, None, None)
        >>> said
        [(7, 32), (7, 32), (7, 16)]
        """

        def tell(identity: int, tokens: int) -> None:
            of_piece = self._tokens.setdefault(identity, {})
            if tokens:
                of_piece[rank] = tokens
            else:
                of_piece.pop(rank, None)
            self._tell(identity, max(of_piece.values(), default=0))
            if not of_piece:
                del self._tokens[identity]

        return tell


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

    def of_ranks(self, ranks: int) -> list[KVCacheSpec]:
        """Return the KV caches of the attention data-parallel ranks of the replica.

        A rank has its share of the blocks and of the tiers. It has the whole swap space, which is
        that of each device, and a tier's bandwidth is that of each rank.
        """
        shares = self._replace(
            kv_tokens=self.kv_tokens // ranks,
            pages=self.pages // ranks,
            offload=tuple(each._replace(blocks=each.blocks // ranks) for each in self.offload),
        )
        if self.tell is None:
            return [shares] * ranks
        reports = RankReports(self.tell)
        return [shares._replace(tell=reports.of_rank(rank)) for rank in range(ranks)]

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
