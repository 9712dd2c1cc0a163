"""KVCacheManager: which blocks of one replica's KV cache are taken, promised and free.

It counts; it has no block tables. Blocks of decoding sequences follow from their number and their
lengths (DecodingBlocks), so that a step costs the same however many sequences there are. vLLM's
class of this name (vllm/v1/core/kv_cache_manager.py) does the same work block by block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks
from cluster_sim.serving.kv_cache.offload import TierStore
from cluster_sim.serving.kv_cache.prefix_cache import PrefixCache
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.kv_cache.swap_space import SwapSpace
from cluster_sim.serving.step_clock import StepClock


class PrefixHit(NamedTuple):
    """What is known of the front of a request's text."""

    found: int = 0
    """Number of its first blocks that are in the cache."""
    used: int = 0
    """Number of those that other requests use."""
    fetched: int = 0
    """Number of blocks behind them that are fetched from a tier."""
    fetch_s: float = 0.0
    """Time that fetching takes [s]."""

    @property
    def known(self) -> int:
        """Number of its first blocks that need not be prefilled."""
        return self.found + self.fetched


class KVCacheManager:
    """Blocks of one replica: reserved and free ones make up the capacity between any two steps.

    A block that several requests share is counted for each of them; `extra_blocks` is by how many
    there seem to be more than there are. Blocks that are promised, or kept for a transfer, are
    taken off it.
    """

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
        "swap",
        "token_share",
        "watermark_blocks",
    )

    def __init__(self, spec: KVCacheSpec, decoding: DecodingBlocks, clock: StepClock) -> None:
        self.block_tokens = spec.block_tokens
        """Number of tokens of a block."""
        self.capacity = spec.blocks
        """Number of blocks."""
        self.token_share = spec.kv_tokens / spec.pages if spec.groups else 0.0
        """Number of tokens of capacity that a block stands for where several groups of layers share
        the blocks; 0: there is one group, whose blocks have `block_tokens`."""
        self.partial_blocks = 0
        """Number of blocks of the request whose prompt is partly prefilled."""
        self.free = 0
        """Number of blocks that are surely free in the step being scheduled, see `begin_step`."""
        self.swap = SwapSpace(spec.swap_blocks, spec.swap_block_s)
        """Memory of the host for preempted requests."""
        spare_blocks = -(-decoding.spare_tokens // spec.block_tokens)
        self.watermark_blocks = spare_blocks + int(spec.watermark * self.capacity)
        """Number of blocks that must stay free beside a new request while others run."""
        self.extra_blocks = 0
        """Number of blocks that are counted too often, less those that are promised."""
        self._decoding, self._clock = decoding, clock
        self._prefix = _prefix_cache(spec, self.capacity)
        self.caches_prefixes = spec.prefix_caching
        """Whether blocks stay findable by their content."""
        self.hits_may_shrink = False
        """Whether hits end only where something is kept: it may be evicted while others decode, and
        less be needed for the first chunk behind a shorter hit."""
        self._is_counted = False  # whether `free` is exact
        self._taken = 0  # blocks that the step being scheduled has taken for prompts

    def longest(self, step_tokens: int) -> int:
        """Return the tokens of the largest sequence that fits alone.

        step_tokens: most tokens of it that a step prefills.
        """
        spare = self._decoding.spare_tokens
        return self.capacity * self.block_tokens - (spare + self.block_tokens if spare else 0)

    def blocks_for(self, tokens: int) -> int:
        """Return the blocks that `tokens` tokens of one sequence take between two steps."""
        return -(-tokens // self.block_tokens)

    def blocks_during(self, tokens: int, step: int) -> int:
        """Return the blocks of a sequence while a step works on the last `step` of its `tokens`."""
        return -(-tokens // self.block_tokens)

    def most_blocks(self, tokens: int, step: int) -> int:
        """Return the most blocks of a sequence that grows to `tokens` in steps of up to `step`."""
        return -(-tokens // self.block_tokens)

    def blocks_behind(self, hit: PrefixHit | None, chunk: int) -> tuple[int, int]:
        """Return (free blocks of a hit, further blocks) that `chunk` tokens behind it take."""
        return 0 if hit is None else hit.known - hit.used, -(-chunk // self.block_tokens)

    def most_behind(self, known: int, missing: int, step: int) -> int:
        """Return the most blocks of `missing` tokens behind `known` blocks of a text.

        step: most of them that a step prefills.
        """
        return self.most_blocks(missing, step)

    # Between two steps

    def taken(self) -> int:
        """Return the blocks in use or promised between two steps."""
        taken = self._decoding.taken(self._clock.now) + self.partial_blocks
        return taken - self.extra_blocks

    def free_after(self, steps: int) -> int:
        """Return the blocks that are free once `steps` steps have run."""
        taken = self._decoding.taken(self._clock.now + steps) + self.partial_blocks
        return self.capacity + self.extra_blocks - taken

    def is_tight(self, steps: int, blocks: int = 0) -> bool:
        """Return whether `blocks` more may not be free once `steps` steps have run.

        Nothing is counted: where it is False, there are enough for certain.
        """
        most = self._decoding.most(steps) + self.partial_blocks + blocks
        return most >= self.capacity + self.extra_blocks

    def steps_within(self, steps: int) -> int:
        """Return the most of `steps` decode steps that the blocks allow.

        One at least: that much was made sure of.
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
        """Hold the blocks of the first `tokens` tokens of the one prompt that is not complete."""
        self.partial_blocks = self.blocks_for(tokens)

    def drop_partial(self) -> None:
        """Hold the blocks of that prompt no more."""
        self.partial_blocks = 0

    def promise(self, blocks: int) -> None:
        """Keep blocks for what is not counted here yet, or not any more."""
        self.extra_blocks -= blocks

    def keep_promise(self, blocks: int) -> None:
        """Give promised blocks back, to be counted here or to be free."""
        self.extra_blocks += blocks

    def clear(self) -> None:
        """Free all blocks, promised ones too: what was in them is lost."""
        self._decoding.clear()
        self.partial_blocks = self.extra_blocks = 0
        self.swap.clear()

    def count_queue(self) -> tuple[int, int]:
        """Return (findable, forgotten) blocks in the queue of free ones, as `forget_until` left it.

        Without a prefix cache there is no queue.
        """
        prefix = self._prefix
        return (0, 0) if prefix is None else (prefix.cached_free, prefix.forgotten_free)

    # In the step being scheduled

    def begin_step(self) -> None:
        """Begin to schedule a step: `free` is a lower bound until it has to be exact."""
        decoding = self._decoding
        most = decoding.tokens // self.block_tokens + decoding.sequences * decoding.slack_blocks
        self.free = self.capacity + self.extra_blocks - int(most + 1 + self.partial_blocks)
        self._is_counted, self._taken = False, 0

    def count_free(self) -> None:
        """Count `free` exactly."""
        self.free = self.free_after(1) - self._taken
        self._is_counted = True

    def make_exact(self) -> None:
        """Count `free` exactly unless that was done in this step."""
        if not self._is_counted:
            self.count_free()

    def try_take(self, blocks: int, spare: int) -> bool:
        """Take blocks for a prompt where they are free, and `spare` more; return whether they were.

        They are counted only where that is not sure.
        """
        if blocks + spare > self.free:
            self.make_exact()
            if blocks + spare > self.free:
                return False
        self.free -= blocks
        self._taken += blocks
        return True

    def take_for_decoding(self, blocks: int) -> None:
        """Take free blocks for a request that decodes, and so is counted with the others."""
        self.free -= blocks

    # What stays findable

    def find(self, request: Request) -> PrefixHit:
        """Return what is known of a request's text, `free` being exact."""
        prefix = self._prefix
        assert prefix is not None
        prefix.take_until(self.free)
        found, used = prefix.find(request)
        return PrefixHit(found, used, *prefix.find_stored(request, found))

    def use(self, request: Request, hit: PrefixHit) -> None:
        """Let a request use the blocks that were found, and those that are fetched."""
        prefix = self._prefix
        assert prefix is not None
        self.extra_blocks += hit.used
        request.holds = []
        prefix.hold(request, hit.found, computed=False)
        if hit.fetched:
            prefix.fetch(request, hit.known)

    def fill(self, request: Request, tokens: int) -> None:
        """Take note that a request has filled the blocks of its first `tokens` tokens."""
        if self._prefix is not None:
            self._prefix.hold(request, tokens // self.block_tokens, computed=True)

    def passed(self, request: Request, past: int) -> None:
        """Take note that a request was prefilled from `past` tokens to where it is now."""

    def restore(self, request: Request, tokens: int, free: int) -> None:
        """Bring `tokens` tokens of a request here from elsewhere; `free` blocks were free before."""
        if self._prefix is not None:
            self._prefix.take_until(free)
            request.holds = []
            self.fill(request, tokens)

    def forget_until(self, free: int) -> None:
        """Forget what was in free blocks until `free` of them are left."""
        if self._prefix is not None:
            self._prefix.take_until(free)

    def forget_for_others(self, free: int) -> None:
        """Forget what was in free blocks but `free`: one request is preempted since others took them."""
        self.forget_until(free)

    def forget_taken(self, prompts: Iterable[int]) -> None:
        """Forget what was in blocks that sequences have taken by now.

        prompts: tokens in the cache of each request that is being prefilled.
        """
        if self._prefix is not None:
            blocks = sum(self.blocks_for(tokens) for tokens in prompts)
            taken = self._decoding.taken(self._clock.now) + blocks
            self._prefix.take_until(self.capacity + self.extra_blocks - taken)

    def forget_before(self, steps: int, chunks: Sequence[tuple[Request, int]]) -> bool:
        """Forget what was in blocks that are free again when the scheduled steps have ended.

        Returns whether there may be such blocks.

        chunks: requests that each of the steps prefills, with the number of tokens.
        """
        return False

    def give_back(self, request: Request, tokens: int, blocks: int, *, again: bool) -> None:
        """Return the blocks of a request's `tokens` tokens to the free ones.

        Full blocks that nobody else uses stay findable. again: the request was preempted and will
        ask for all of them.
        """
        if self._prefix is not None:
            self.fill(request, tokens)
            self.extra_blocks -= blocks - self._prefix.release(request, blocks, again=again)


def _prefix_cache(spec: KVCacheSpec, blocks: int) -> PrefixCache | None:
    if not spec.prefix_caching:
        return None
    store = TierStore(spec.offload) if spec.offload else None
    return PrefixCache(blocks, spec.block_tokens, store)
