"""KVCacheManager: counts of taken, promised and free blocks of one replica's KV cache.

The manager has no block tables. Blocks of decoding sequences follow from their number and lengths
(DecodingBlocks), so the cost of a step does not depend on the number of sequences. vLLM's class of
the same name (vllm/v1/core/kv_cache_manager.py) does this work block by block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks
from cluster_sim.serving.kv_cache.offload import TierStore
from cluster_sim.serving.kv_cache.prefix_cache import PrefixCache
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.kv_cache.swap_space import SwapSpace
from cluster_sim.serving.step_clock import StepClock


class PrefixHit(NamedTuple):
    """Prefix hit: leading blocks of a request's text that need no prefill."""

    found: int = 0
    """Number of leading blocks that are in the cache."""
    used: int = 0
    """Number of leading blocks in the cache that other requests use."""
    fetched: int = 0
    """Number of further blocks that are fetched from an offload tier."""
    fetch_s: float = 0.0
    """Time to fetch blocks from the replica's own tiers [s]."""
    shared: int = 0
    """Number of the fetched blocks that come from a shared tier."""

    @property
    def known(self) -> int:
        """Number of leading blocks that need no prefill."""
        return self.found + self.fetched


class KVCacheManager:
    """Blocks of one replica; between any two steps, reserved plus free blocks equal the capacity.

    A block that several requests share is counted once per request. `extra_blocks` is the resulting
    excess, minus the blocks that are promised or kept for a transfer.
    """

    only_fills: ClassVar[bool] = True
    """Whether free blocks only become fewer while the same requests decode."""

    __slots__ = (
        "_clock",
        "_decoding",
        "_is_counted",
        "_prefix",
        "_taken",
        "block_tokens",
        "caches_prefixes",
        "capacity",
        "extra_blocks",
        "free",
        "hits_may_shrink",
        "partial_blocks",
        "reports_blocks",
        "store_view",
        "swap",
        "token_share",
        "watermark_blocks",
    )

    def __init__(self, spec: KVCacheSpec, decoding: DecodingBlocks, clock: StepClock) -> None:
        self.block_tokens = spec.block_tokens
        """Number of tokens per block."""
        self.capacity = spec.blocks
        """Number of blocks of the replica."""
        self.token_share = spec.kv_tokens / spec.pages if spec.groups else 0.0
        """Number of tokens of capacity per block if several groups of layers share the blocks; 0
        for a single group, whose blocks have `block_tokens`."""
        self.partial_blocks = 0
        """Number of blocks of the request with a partly prefilled prompt."""
        self.free = 0
        """Lower bound of the free blocks in the step being scheduled, see `begin_step`."""
        self.swap = SwapSpace(spec.swap_blocks, spec.swap_block_s)
        """Host memory for preempted requests."""
        spare_blocks = -(-decoding.spare_tokens // spec.block_tokens)
        self.watermark_blocks = spare_blocks + int(spec.watermark * self.capacity)
        """Number of blocks that must stay free when a request is admitted while others run."""
        self.extra_blocks = 0
        """Number of blocks that are counted several times, minus the promised blocks."""
        self._decoding, self._clock = decoding, clock
        self._prefix = _prefix_cache(spec, self.capacity)
        self.reports_blocks = spec.prefix_caching and spec.tell is not None
        """Whether changes of the prefix cache are reported."""
        self.caches_prefixes = spec.prefix_caching
        """Whether blocks stay findable by their content (prefix caching)."""
        self.store_view = spec.store
        """Shared tier behind the cache; None if there is none."""
        self.hits_may_shrink = spec.store is not None
        """Whether hits end only at positions with kept content, or in a shared tier. Such content
        may be evicted while other requests decode, and the first chunk after a shorter hit may need
        fewer blocks."""
        self._is_counted = False  # whether `free` is exact
        self._taken = 0  # blocks taken for prompts in the step being scheduled

    def longest(self, step_tokens: int) -> int:
        """Return the number of tokens of the longest sequence that fits alone.

        Parameters
        ----------
        step_tokens
            Maximum number of its tokens that a step prefills.
        """
        spare = self._decoding.spare_tokens
        return self.capacity * self.block_tokens - (spare + self.block_tokens if spare else 0)

    def blocks_for(self, tokens: int) -> int:
        """Return the number of blocks of a sequence of `tokens` tokens between two steps."""
        return -(-tokens // self.block_tokens)

    def blocks_during(self, tokens: int, step: int) -> int:
        """Return the number of blocks during a step on the last `step` of a sequence's `tokens`."""
        return -(-tokens // self.block_tokens)

    def most_blocks(self, tokens: int, step: int) -> int:
        """Return the peak number of blocks of a sequence up to `tokens`, in steps up to `step`."""
        return -(-tokens // self.block_tokens)

    def blocks_behind(self, hit: PrefixHit | None, chunk: int) -> tuple[int, int]:
        """Return (free blocks of a hit, further blocks) that `chunk` tokens after it take."""
        return 0 if hit is None else hit.known - hit.used, -(-chunk // self.block_tokens)

    def most_behind(self, known: int, missing: int, step: int) -> int:
        """Return the maximum number of blocks of `missing` tokens after `known` blocks of a text.

        Parameters
        ----------
        known
            Number of leading blocks that need no prefill.
        missing
            Number of tokens that must be prefilled.
        step
            Maximum number of these tokens that a step prefills.
        """
        return self.most_blocks(missing, step)

    def blocks_to_completion(self, request: Request, step: int) -> int:
        """Return the peak number of blocks of a request until its end, in steps up to `step`.

        The answer is the longest that the client allows, as far as the whole cache holds it.
        """
        spare = self._decoding.spare_tokens  # the mean of drafts also counts the last token
        tokens = request.footprint
        if request.output_limit > request.output_tokens:
            longest = request.prompt_tokens + request.output_limit - 1
            tokens = max(tokens, min(longest, self.longest(step)))
        return self.most_blocks(tokens + (spare + 1 if spare else 0), step)

    def shared_blocks(self, hit: PrefixHit) -> int:
        """Return the number of blocks of a hit that other requests use."""
        return hit.used

    # Between two steps

    def taken(self) -> int:
        """Return the number of blocks in use or promised between two steps."""
        taken = self._decoding.taken(self._clock.now) + self.partial_blocks
        return taken - self.extra_blocks

    def free_after(self, steps: int) -> int:
        """Return the number of blocks that are free after `steps` steps."""
        taken = self._decoding.taken(self._clock.now + steps) + self.partial_blocks
        return self.capacity + self.extra_blocks - taken

    def is_tight(self, steps: int, blocks: int = 0) -> bool:
        """Return whether free blocks may be fewer than `blocks` after `steps` steps.

        The test makes no exact count. If the result is False, there are certainly enough.
        """
        most = self._decoding.most(steps) + self.partial_blocks + blocks
        return most >= self.capacity + self.extra_blocks

    def steps_within(self, steps: int) -> int:
        """Return how many of `steps` decode steps the free blocks allow.

        The result is at least 1, since the scheduler has ensured one step.
        """
        least, most = 1, steps
        while least < most:
            middle = (least + most + 1) // 2
            if self.free_after(middle) >= 0:
                least = middle
            else:
                most = middle - 1
        return least

    def hold_partial(self, tokens: int) -> None:
        """Reserve the blocks of the first `tokens` tokens of the partly prefilled prompt."""
        self.partial_blocks = self.blocks_for(tokens)

    def hold_whole(self, tokens: int, taken: int) -> None:
        """Reserve the blocks of a whole prompt before its first chunk.

        Parameters
        ----------
        tokens
            Number of tokens of the prompt.
        taken
            Number of its blocks that were taken in the step being scheduled.
        """
        self._taken -= taken
        self.hold_partial(tokens)

    def drop_partial(self) -> None:
        """Stop reserving the blocks of the partly prefilled prompt."""
        self.partial_blocks = 0

    def promise(self, blocks: int) -> None:
        """Reserve blocks for a request that is not yet, or no longer, counted here."""
        self.extra_blocks -= blocks

    def keep_promise(self, blocks: int) -> None:
        """End the reservation of promised blocks, which are then counted here or free."""
        self.extra_blocks += blocks

    def clear(self) -> None:
        """Free all blocks, promised blocks included; their content is lost."""
        self._decoding.clear()
        self.partial_blocks = self.extra_blocks = 0
        self.swap.clear()

    def count_queue(self) -> tuple[int, int]:
        """Return the numbers of (findable, forgotten) blocks in the queue of free blocks.

        The queue is in the state after the last `forget_until`. Without a prefix cache there is no
        queue.
        """
        prefix = self._prefix
        return (0, 0) if prefix is None else (prefix.cached_free, prefix.forgotten_free)

    # In the step being scheduled

    def begin_step(self) -> None:
        """Begin to schedule a step: `free` is a lower bound until an exact count is needed."""
        decoding = self._decoding
        most = decoding.tokens // self.block_tokens + decoding.sequences * decoding.slack_blocks
        self.free = self.capacity + self.extra_blocks - int(most + 1 + self.partial_blocks)
        self._is_counted, self._taken = False, 0

    def begin_exact_step(self, growth: int) -> None:
        """Begin to schedule a step with an exact count of `free`.

        Parameters
        ----------
        growth
            Number of steps by which decoding sequences grow in it: 0 if they hold still, else 1.
        """
        self.free = self.free_after(growth)
        self._is_counted, self._taken = True, 0

    def count_free(self) -> None:
        """Count `free` exactly."""
        self.free = self.free_after(1) - self._taken
        self._is_counted = True

    def make_exact(self) -> None:
        """Count `free` exactly unless it has been counted in this step."""
        if not self._is_counted:
            self.count_free()

    def try_take(self, blocks: int, spare: int) -> bool:
        """Take blocks for a prompt if they and `spare` more are free; return whether they were.

        Free blocks are counted only if the lower bound is not sufficient.
        """
        if blocks + spare > self.free:
            self.make_exact()
            if blocks + spare > self.free:
                return False
        self.free -= blocks
        self._taken += blocks
        return True

    def has_free(self, blocks: int) -> bool:
        """Return whether this number of blocks is free; count them only if the bound is lower."""
        if blocks > self.free:
            self.make_exact()
        return blocks <= self.free

    def take_for_decoding(self, blocks: int) -> None:
        """Take free blocks for a decoding request, which is counted with the decoding sequences."""
        self.free -= blocks

    # Prefix cache

    def find(self, request: Request) -> PrefixHit:
        """Return the prefix hit of a request; `free` must be exact."""
        prefix = self._prefix
        assert prefix is not None
        prefix.take_until(self.free)
        found, used = prefix.find(request)
        return PrefixHit(found, used, *prefix.find_stored(request, found))

    def use(self, request: Request, hit: PrefixHit) -> None:
        """Let a request use the blocks of a prefix hit, fetched blocks included."""
        prefix = self._prefix
        assert prefix is not None
        self.extra_blocks += hit.used
        request.holds = []
        prefix.hold(request, hit.found, computed=False)
        if hit.fetched:
            prefix.fetch(request, hit.known)

    def fill(self, request: Request, tokens: int) -> None:
        """Record that a request has filled the blocks of its first `tokens` tokens."""
        if self._prefix is not None:
            self._prefix.hold(request, tokens // self.block_tokens, computed=True)

    def passed(self, request: Request, past: int) -> None:
        """Record that a request was prefilled from `past` tokens up to its present length."""

    def restore(self, request: Request, tokens: int, free: int) -> None:
        """Receive the KV cache of `tokens` tokens of a request; `free` blocks were free before."""
        if self._prefix is not None:
            self._prefix.take_until(free)
            request.holds = []
            self.fill(request, tokens)

    def forget_until(self, free: int) -> None:
        """Forget the content of free blocks, in order of eviction, until `free` are left."""
        if self._prefix is not None:
            self._prefix.take_until(free)

    def forget_for_others(self, free: int) -> None:
        """Forget the content of all but `free` free blocks, which others took by a preemption."""
        self.forget_until(free)

    def forget_taken(self, prompts: Iterable[int]) -> None:
        """Forget the content of free blocks that sequences have taken by now.

        Parameters
        ----------
        prompts
            Number of tokens in the cache of each request in prefill.
        """
        if self._prefix is not None:
            blocks = sum(self.blocks_for(tokens) for tokens in prompts)
            taken = self._decoding.taken(self._clock.now) + blocks
            self._prefix.take_until(self.capacity + self.extra_blocks - taken)

    def forget_own(self, request: Request) -> None:
        """Let nobody find content that only this request, which is preempted, could reuse."""
        if self._prefix is not None:
            self._prefix.forget_own(request)

    def forget_before(
        self, steps: int, chunks: Sequence[tuple[Request, int]], growth: int | None = None
    ) -> bool:
        """Forget the content of blocks that become free during the scheduled steps.

        Parameters
        ----------
        steps
            Number of scheduled steps.
        chunks
            Requests that each step prefills, with the number of tokens.
        growth
            Number of the steps in which decoding sequences grow. Default: all.

        Returns
        -------
        bool
            Whether there may be such blocks.
        """
        return False

    def give_back(self, request: Request, tokens: int, blocks: int, *, again: bool) -> None:
        """Return the blocks of a request's `tokens` tokens to the free pool.

        Full, unshared blocks stay findable in the prefix cache.

        Parameters
        ----------
        again
            Whether the request was preempted and will look up all of its blocks again.
        """
        if self._prefix is not None:
            self.fill(request, tokens)
            self.extra_blocks -= blocks - self._prefix.release(request, blocks, again=again)


def _prefix_cache(spec: KVCacheSpec, blocks: int) -> PrefixCache | None:
    if not spec.prefix_caching:
        return None
    has_tiers = spec.offload or spec.store is not None
    store = TierStore(spec.offload, spec.store) if has_tiers else None
    return PrefixCache(blocks, spec.block_tokens, store, tell=spec.tell)
