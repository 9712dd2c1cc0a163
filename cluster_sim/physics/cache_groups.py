"""Groups of layers whose cache lies in blocks of one pool, and the pages that a sequence holds.

Layers of one kind of attention share a group, and every block of every group takes a page of one
pool. A sequence holds a block per `block_tokens` of its tokens where the cache grows, no more than
its window or its chunk where that is all that a query sees, and one slot where a state is kept.

Rules are those of vLLM 0.22 (vllm/v1/core/kv_cache_utils.py, single_type_kv_cache_manager.py,
v1/kv_cache_interface.py; model_executor/models/config.py for blocks beside states;
docs/design/hybrid_kv_cache_manager.md). Two things are simpler here. A block that a window has left
is kept for the next one of the same sequence: vLLM frees it and takes another within `block_tokens`
tokens, so a sequence holds at most one block of a window more than there. And a page is that of the
mean layer of a pipeline stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Literal, NamedTuple

_UNLIMITED = 1 << 40  # tokens

View = Literal["context", "window", "chunk", "state"]
"""What a query sees of the cache: all tokens before it, those of a sliding window, those of its
chunk of the text, or a state that stands for them all."""


class CacheKind(NamedTuple):
    """Layers whose cache is alike, on one device."""

    layers: int
    """Number of layers."""
    token_bytes: float
    """Cache of a token in one layer, or its state of a sequence [B]."""
    view: View = "context"
    """What a query sees of it."""
    view_tokens: int = 0
    """Size of the window or of a chunk [tokens]."""
    kernel_tokens: int = 16
    """Number of tokens of which a block that is as large as a state is a multiple, for the
    attention kernels: 64 where they share latent vectors."""


class CacheGroup(NamedTuple):
    """Groups of layers that hold the same number of blocks of a sequence."""

    block_tokens: int
    """Number of tokens of a block."""
    pages: int = 1
    """Number of pages of one block: one for each group."""
    view: View = "context"
    """What a query sees of the cache."""
    view_tokens: int = 0
    """Size of the window or of a chunk [tokens]."""
    slots: int = 1
    """Number of states of a sequence: with prefix caching the one that may be found is a second."""

    def blocks(self, tokens: int, step: int = 0) -> int:
        """Return the blocks of a sequence while a step works on the last `step` of its `tokens`.

        0 stands for the time between two steps.

        >>> CacheGroup(16).blocks(33), CacheGroup(16, 1, "window", 32).blocks(1000)
        (3, 3)
        >>> [CacheGroup(16, 1, "chunk", 64).blocks(tokens) for tokens in (63, 64, 65)]
        [4, 0, 1]
        """
        block, past = self.block_tokens, tokens - step
        blocks = -(-tokens // block)
        if self.view == "context":
            return blocks
        if self.view == "state":
            return min(blocks, 1) * self.slots
        if self.view == "chunk":
            return blocks - (past - past % self.view_tokens) // block
        left = max(past + 1 - self.view_tokens, 0) // block
        return max(blocks - left, min(blocks, self.most_blocks(1)))

    def most_blocks(self, step: int) -> int:
        """Return the most blocks that a step of `step` tokens sees of anything but the context.

        Of a window or a chunk they are those of `window - 1 + step` neighbouring tokens, wherever these begin.
        """
        if self.view == "state":
            return self.slots
        return -(-(self.view_tokens + step - 2) // self.block_tokens) + 1

    def reckoned_blocks(self, tokens: int, step: int) -> int:
        """Return the blocks that vLLM reckons for a sequence of `tokens` at steps of `step`."""
        if self.view == "context":
            return -(-tokens // self.block_tokens)
        if self.view == "state":
            return self.slots
        if self.view == "chunk":
            return -(-min(self.view_tokens + step, tokens) // self.block_tokens)
        return -(-min(self.view_tokens - 1 + step, tokens) // self.block_tokens) + 1

    def blocks_before(self, tokens: int) -> int:
        """Return the blocks of anything but the context that the token after `tokens` needs.

        >>> CacheGroup(16, 1, "window", 32).blocks_before(64)  # keys 33 to 63
        2
        """
        if self.view == "state":
            return min(tokens, 1)
        first = tokens - tokens % self.view_tokens
        if self.view == "window":
            first = max(tokens - self.view_tokens + 1, 0)
        return -(-tokens // self.block_tokens) - first // self.block_tokens


Groups = Sequence[CacheGroup]


def pages_held(groups: Groups, tokens: int, step: int = 0) -> int:
    """Return the pages of a sequence while a step works on the last `step` of its `tokens`."""
    return sum(group.pages * group.blocks(tokens, step) for group in groups)


def most_pages(groups: Groups, tokens: int, step: int) -> int:
    """Return the most pages of a sequence that grows to `tokens` in steps of at most `step`."""
    pages = 0
    for group in groups:
        blocks = -(-tokens // group.block_tokens)
        if group.view != "context":
            blocks = min(blocks * group.slots, group.most_blocks(step))
        pages += group.pages * blocks
    return pages


def mean_pages(groups: Groups, tokens: float) -> float:
    """Return the pages of sequences of `tokens` tokens, half a block of each being empty."""
    pages = 0.0
    for group in groups:
        held = tokens
        if group.view == "state":
            held = group.block_tokens * (group.slots - 0.5)
        elif group.view == "window":
            held = min(tokens, group.view_tokens + group.block_tokens / 2)
        elif group.view == "chunk" and tokens > group.view_tokens:
            held = group.view_tokens / 2
        pages += group.pages * (held / group.block_tokens + 0.5)
    return pages


def longest_sequence(groups: Groups, pages: int, step: int) -> int:
    """Return the tokens of the largest sequence that `pages` hold, in steps of at most `step`."""
    least, most = 0, _UNLIMITED
    while least < most:
        middle = (least + most + 1) // 2
        if most_pages(groups, middle, min(step, middle)) <= pages:
            least = middle
        else:
            most = middle - 1
    return least


class PagePool(NamedTuple):
    """Pages of one device, and the groups of layers that share them."""

    page_bytes: float
    """Size of a page [B]."""
    groups: tuple[CacheGroup, ...]
    """Groups of layers."""

    def tokens_per_page(self, max_context: int, step: int) -> float:
        """Return the tokens that vLLM counts for a page.

        From 0.21 on the logged size of the KV cache is `max_context` times the number of sequences
        that long which fit at once; a window is reckoned with a step of the whole token budget
        (`get_max_concurrency_for_kv_cache_config`). Before, it was the number of blocks over that
        of groups, times the smallest block.
        """
        pages = sum(group.pages * group.reckoned_blocks(max_context, step) for group in self.groups)
        return max_context / pages

    def with_prefix_caching(self) -> PagePool:
        """Return the pool where sequences hold a state that may be found, and the one in use."""
        groups = (
            group._replace(slots=2) if group.view == "state" else group for group in self.groups
        )
        return self._replace(groups=tuple(groups))


def page_pool(kinds: Iterable[CacheKind], block_tokens: int, stages: int) -> PagePool:
    """Return the pool of pages that layers of several kinds share.

    Blocks of all kinds get one size: those of smaller tokens get more of them, and all as many as
    hold the bytes of a state, in multiples that attention kernels want. A group has as many
    layers as the kind with fewest, or as the kind with most where that is less than half more, and
    the last group of a kind is filled up.

    Parameters
    ----------
    kinds
        Kinds of layers of the model.
    block_tokens
        Number of tokens of a block of the kind with the largest tokens.
    stages
        Number of pipeline stages, which share the layers.

    Examples
    --------
    >>> gemma = [CacheKind(10, 8192.0), CacheKind(50, 16384.0, "window", 1024)]
    >>> page_pool(gemma, 16, 1).groups[0], page_pool(gemma, 16, 1).page_bytes / 2**20
    (CacheGroup(block_tokens=32, pages=1, view='context', view_tokens=0, slots=1), 2.5)
    """
    kinds = list(kinds)
    layers = [kind.layers for kind in kinds]
    size = max(layers) if max(layers) < 1.5 * min(layers) else min(layers)
    state_bytes = max((kind.token_bytes for kind in kinds if kind.view == "state"), default=0.0)
    token_bytes = max((kind.token_bytes for kind in kinds if kind.view != "state"), default=0.0)
    if token_bytes:
        kernel_tokens = max(kind.kernel_tokens for kind in kinds)
        wanted = kernel_tokens * ceil(state_bytes / (kernel_tokens * token_bytes))
        block_tokens = max(block_tokens, wanted)
    block_bytes = max(block_tokens * token_bytes, state_bytes)
    groups = tuple(
        CacheGroup(
            1
            if kind.view == "state"
            else block_tokens * int(block_bytes / (block_tokens * kind.token_bytes)),
            ceil(kind.layers / size),
            kind.view,
            kind.view_tokens,
        )
        for kind in kinds
    )
    return PagePool(block_bytes * size / stages, groups)
