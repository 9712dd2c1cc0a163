"""GroupedKVCacheManager: KV cache of a replica whose groups of layers share one pool of pages.

The manager counts pages: a block of any group takes one or several pages.
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
    """Pages of one replica; between any two steps, reserved plus free pages equal the capacity."""

    only_fills = False  # blocks behind a window or a chunk become free

    __slots__ = ("_findable", "_groups", "_pages")

    def __init__(self, spec: KVCacheSpec, decoding: GroupedBlocks, clock: StepClock) -> None:
        super().__init__(spec._replace(prefix_caching=False), decoding, clock)
        self._groups, self._pages = spec.groups, decoding
        if spare := decoding.spare_tokens:
            self.watermark_blocks += most_pages(spec.groups, spare, spare)
        self._findable: GroupedPrefixCache | None = None
        if spec.prefix_caching:
            self._prefix = self._findable = GroupedPrefixCache(self.capacity, spec.groups)
            self.block_tokens = common_block(spec.groups)
            self.caches_prefixes = True
            self.hits_may_shrink = self._findable.keeps_places

    def longest(self, step_tokens: int) -> int:
        """Return the number of tokens of the longest sequence that fits alone.

        Parameters
        ----------
        step_tokens
            Maximum number of its tokens that a step prefills.
        """
        tokens = longest_sequence(self._groups, self.capacity, step_tokens)
        if spare := self._decoding.spare_tokens:
            tokens -= spare + max(group.block_tokens for group in self._groups)
        return tokens

    def blocks_for(self, tokens: int) -> int:
        """Return the number of pages of a sequence of `tokens` tokens between two steps."""
        return pages_held(self._groups, tokens)

    def blocks_during(self, tokens: int, step: int) -> int:
        """Return the number of pages during a step on the last `step` of a sequence's `tokens`."""
        return pages_held(self._groups, tokens, step)

    def most_blocks(self, tokens: int, step: int) -> int:
        """Return the peak number of pages of a sequence up to `tokens`, in steps up to `step`."""
        return most_pages(self._groups, tokens, step)

    def blocks_behind(self, hit: PrefixHit | None, chunk: int) -> tuple[int, int]:
        """Return (free pages of a hit, further pages) that `chunk` tokens after it take."""
        if hit is None or self._findable is None:
            return 0, self.blocks_during(chunk, chunk)
        pages = self._findable.block_pages
        whole = self.blocks_during(hit.known * self.block_tokens + chunk, chunk)
        return (hit.known - hit.used) * pages, whole - hit.known * pages

    def most_behind(self, known: int, missing: int, step: int) -> int:
        """Return the maximum number of pages of `missing` tokens after `known` blocks of a text."""
        if self._findable is None:
            return self.most_blocks(missing, step)
        pages = self._findable.block_pages
        return self.most_blocks(known * self.block_tokens + missing, step) - known * pages

    def shared_blocks(self, hit: PrefixHit) -> int:
        """Return the number of pages of a hit that other requests use."""
        assert self._findable is not None
        return hit.used * self._findable.block_pages

    def use(self, request: Request, hit: PrefixHit) -> None:
        """Let a request use the blocks of a prefix hit."""
        assert self._findable is not None
        super().use(request, hit._replace(used=self.shared_blocks(hit)))
        self._findable.use_kept(request, hit.found)

    def passed(self, request: Request, past: int) -> None:
        """Record that a request was prefilled from `past` tokens up to its present length."""
        if self._findable is not None:
            self._findable.keep_passed(request, past, request.prefilled)

    def forget_for_others(self, free: int) -> None:
        """Forget nothing yet: a request may need several pages and leave other pages free."""

    def forget_before(
        self, steps: int, chunks: Sequence[tuple[Request, int]], growth: int | None = None
    ) -> bool:
        """Forget the content of pages that become free during the scheduled steps.

        These are pages of prompts outside their windows, and of chunks of the text that end.

        Parameters
        ----------
        steps
            Number of scheduled steps.
        chunks
            Requests that each step prefills, with the number of tokens.
        growth
            Number of the steps in which decoding sequences grow. Default: all.
        """
        if not chunks and self._pages.steps_until_change(self._clock.now) > steps:
            return False
        pages = sum(
            self.blocks_during(request.prefilled + chunk * steps, chunk)
            for request, chunk in chunks
        )
        grown = steps if growth is None else growth
        self.forget_until(self.free_after(grown) + self.partial_blocks - pages)
        return True

    def give_back(self, request: Request, tokens: int, blocks: int, *, again: bool) -> None:
        """Return the pages of a request's `tokens` tokens to the free pool.

        Full, unshared blocks stay findable in the prefix cache, with the state that a request needs
        to continue after them.

        Parameters
        ----------
        again
            Whether the request was preempted and will look up all of its blocks again.
        """
        if self._findable is not None:
            self.fill(request, tokens)
            freed = self._findable.release_at(request, blocks, tokens, again=again)
            self.extra_blocks -= blocks - freed

    def begin_step(self) -> None:
        """Begin to schedule a step: `free` is a lower bound until an exact count is needed."""
        most = int(self._decoding.most(1)) + 1 + self.partial_blocks
        self.free = self.capacity + self.extra_blocks - most
        self._is_counted, self._taken = False, 0
