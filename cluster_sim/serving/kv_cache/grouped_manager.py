"""GroupedKVCacheManager: the KV cache of a replica whose groups of layers share one pool.

Its blocks are pages: every block of every group takes one or several.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.physics.cache_groups import longest_sequence, most_pages, pages_held
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.grouped_blocks import GroupedBlocks
from cluster_sim.serving.kv_cache.grouped_prefix_cache import GroupedPrefixCache, common_block
from cluster_sim.serving.kv_cache.manager import KVCacheManager, PrefixHit
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.step_clock import StepClock


class GroupedKVCacheManager(KVCacheManager):
    """Pages of one replica: reserved and free ones make up the capacity between any two steps."""

    __slots__ = ("_findable", "_groups", "_pages")

    def __init__(self, spec: KVCacheSpec, decoding: GroupedBlocks, clock: StepClock) -> None:
        super().__init__(spec._replace(prefix_caching=False), decoding, clock)
        self._groups, self._pages = spec.groups, decoding
        self._findable: GroupedPrefixCache | None = None
        if spec.prefix_caching:
            self._prefix = self._findable = GroupedPrefixCache(self.capacity, spec.groups)
            self.block_tokens = common_block(spec.groups)
            self.caches_prefixes = True
            self.hits_may_shrink = self._findable.keeps_places

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

    def blocks_behind(self, hit: PrefixHit | None, chunk: int) -> tuple[int, int]:
        """Return (free pages of a hit, further pages) that `chunk` tokens behind it take."""
        if hit is None or self._findable is None:
            return 0, self.blocks_during(chunk, chunk)
        pages = self._findable.block_pages
        whole = self.blocks_during(hit.known * self.block_tokens + chunk, chunk)
        return (hit.known - hit.used) * pages, whole - hit.known * pages

    def most_behind(self, known: int, missing: int, step: int) -> int:
        """Return the most pages of `missing` tokens behind `known` blocks of a text."""
        if self._findable is None:
            return self.most_blocks(missing, step)
        pages = self._findable.block_pages
        return self.most_blocks(known * self.block_tokens + missing, step) - known * pages

    def use(self, request: Request, hit: PrefixHit) -> None:
        """Let a request use the blocks that were found."""
        assert self._findable is not None
        super().use(request, hit._replace(used=hit.used * self._findable.block_pages))
        self._findable.use_kept(request, hit.found)

    def passed(self, request: Request, past: int) -> None:
        """Take note that a request was prefilled from `past` tokens to where it is now."""
        if self._findable is not None:
            self._findable.keep_passed(request, past, request.prefilled)

    def forget_for_others(self, free: int) -> None:
        """Forget nothing yet: a request may lack more pages than one, and leave others free."""

    def forget_before(self, steps: int, chunks: Sequence[tuple[Request, int]]) -> bool:
        """Forget what was in pages that are free again when the scheduled steps have ended.

        They are those of prompts beyond their windows, and of chunks of the text that end.
        """
        if not chunks and self._pages.steps_until_change(self._clock.now) > steps:
            return False
        pages = sum(
            self.blocks_during(request.prefilled + chunk * steps, chunk)
            for request, chunk in chunks
        )
        self.forget_until(self.free_after(steps) + self.partial_blocks - pages)
        return True

    def give_back(self, request: Request, tokens: int, blocks: int, *, again: bool) -> None:
        """Return the pages of a request's `tokens` tokens to the free ones.

        Full blocks that nobody else uses stay findable, and what a request needs to go on from
        there. again: the request was preempted and will ask for all of them.
        """
        if self._findable is not None:
            self.fill(request, tokens)
            freed = self._findable.release_at(request, blocks, tokens, again=again)
            self.extra_blocks -= blocks - freed

    def begin_step(self) -> None:
        """Begin to schedule a step: `free` is a lower bound until it has to be exact."""
        most = int(self._decoding.most(1)) + 1 + self.partial_blocks
        self.free = self.capacity + self.extra_blocks - most
        self._is_counted, self._taken = False, 0
