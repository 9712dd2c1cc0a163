"""GroupedKVCacheManager: the KV cache of a replica whose groups of layers share one pool.

Its blocks are pages: every block of every group takes one or several.
"""

from __future__ import annotations

from cluster_sim.physics.cache_groups import longest_sequence, most_pages, pages_held
from cluster_sim.serving.kv_cache.grouped_blocks import GroupedBlocks
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.step_clock import StepClock


class GroupedKVCacheManager(KVCacheManager):
    """Pages of one replica: reserved and free ones make up the capacity between any two steps."""

    __slots__ = ("_groups",)

    def __init__(self, spec: KVCacheSpec, decoding: GroupedBlocks, clock: StepClock) -> None:
        super().__init__(spec, decoding, clock)
        self._groups = spec.groups

    def longest(self, step_tokens: int) -> int:
        """Return the tokens of the largest sequence that fits alone.

        step_tokens: most tokens of it that a step prefills.
        """
        return longest_sequence(self._groups, self.capacity, step_tokens)

    def blocks_for(self, tokens: int) -> int:
        """Return the pages that `tokens` tokens of one sequence take between two steps."""
        return pages_held(self._groups, tokens)

    def blocks_during(self, tokens: int, step: int) -> int:
        """Return the pages of a sequence while a step works on the last `step` of its `tokens`."""
        return pages_held(self._groups, tokens, step)

    def most_blocks(self, tokens: int, step: int) -> int:
        """Return the most pages of a sequence that grows to `tokens` in steps of up to `step`."""
        return most_pages(self._groups, tokens, step)

    def begin_step(self) -> None:
        """Begin to schedule a step: `free` is a lower bound until it has to be exact."""
        most = int(self._decoding.most(1)) + 1 + self.partial_blocks
        self.free = self.capacity + self.extra_blocks - most
        self._is_counted, self._taken = False, 0
