"""Groups of layers that share one pool of KV cache blocks, and the pages that a sequence holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Literal, NamedTuple

_UNLIMITED = 1 << 40  # tokens

View = Literal["context", "window", "chunk", "state"]
"""View of a query: all tokens before it, the tokens of a sliding window, the tokens of its chunk of
the text, or a state that replaces them."""


class CacheKind(NamedTuple):
    """Layers with cache of one kind, on one device."""

    layers: int
    """Number of layers."""
    token_bytes: float
    """Cache of one token in one layer, or state of one sequence in one layer [B]."""
    view: View = "context"
    """View of a query in these layers."""
    view_tokens: int = 0
    """Size of the window or of the chunk [tokens]; 0 for other views."""
    kernel_tokens: int = 16
    """Multiple of tokens to which a block as large as a state is rounded, for the attention
    kernels: 64 for latent attention."""


class CacheGroup(NamedTuple):
    """Groups of layers that hold the same number of blocks of a sequence."""

    block_tokens: int
    """Number of tokens per block."""
    pages: int = 1
    """Number of pages per block: one for each group."""
    view: View = "context"
    """View of a query in these layers."""
    view_tokens: int = 0
    """Size of the window or of the chunk [tokens]; 0 for other views."""
    slots: int = 1
    """Number of states per sequence: 1, or 2 with prefix caching, which keeps a second one
    findable."""

    def blocks(self, tokens: int, step: int = 0) -> int:
        """Return the number of blocks of a sequence in a step on the last `step` of `tokens`.

        A `step` of 0 stands for the time between two steps.

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
        """Return the maximum number of blocks that a step of `step` tokens sees.

        A group that sees the whole context is not supported. A window or a chunk takes the blocks
        of `window - 1 + step` neighbouring tokens at any offset.
        """
        if self.view == "state":
            return self.slots
        return -(-(self.view_tokens + step - 2) // self.block_tokens) + 1

    def reckoned_blocks(self, tokens: int, step: int) -> int:
        """Return the number of blocks that vLLM estimates for `tokens` in steps of `step`."""
        if self.view == "context":
            return -(-tokens // self.block_tokens)
        if self.view == "state":
            return self.slots
        if self.view == "chunk":
            return -(-min(self.view_tokens + step, tokens) // self.block_tokens)
        return -(-min(self.view_tokens - 1 + step, tokens) // self.block_tokens) + 1

    def blocks_before(self, tokens: int) -> int:
        """Return the number of blocks that the token after `tokens` needs.

        A group that sees the whole context is not supported.

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
    """Return the number of pages of a sequence during a step on its last `step` tokens.

    Parameters
    ----------
    groups
        Groups of layers that share the pool.
    tokens
        Number of tokens of the sequence, those of the step included.
    step
        Number of tokens of the step; 0 between steps.

    Returns
    -------
    int
        Number of pages.

    Examples
    --------
    Three blocks of the whole context, and three of a window of 32 tokens:

    >>> pages_held([CacheGroup(16), CacheGroup(16, 1, "window", 32)], 48)
    6
    """
    return sum(group.pages * group.blocks(tokens, step) for group in groups)


def most_pages(groups: Groups, tokens: int, step: int) -> int:
    """Return the maximum number of pages of a sequence that grows to `tokens` tokens.

    Parameters
    ----------
    groups
        Groups of layers that share the pool.
    tokens
        Final number of tokens of the sequence.
    step
        Maximum number of tokens per step.

    Returns
    -------
    int
        Number of pages.

    Examples
    --------
    63 blocks of the whole context, and 4 of a window of 32 tokens, which a step of 16 shifts:

    >>> most_pages([CacheGroup(16), CacheGroup(16, 1, "window", 32)], 1000, 16)
    67
    """
    pages = 0
    for group in groups:
        blocks = -(-tokens // group.block_tokens)
        if group.view != "context":
            blocks = min(blocks * group.slots, group.most_blocks(step))
        pages += group.pages * blocks
    return pages


def mean_pages(groups: Groups, tokens: float) -> float:
    """Return the mean number of pages of sequences with a mean of `tokens` tokens.

    The last block of a sequence is half empty on average.

    Parameters
    ----------
    groups
        Groups of layers that share the pool.
    tokens
        Mean number of tokens per sequence.

    Returns
    -------
    float
        Number of pages per sequence.

    Examples
    --------
    >>> mean_pages([CacheGroup(16)], 160.0)  # ten blocks and a half
    10.5
    """
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
    """Return the number of tokens of the longest sequence that `pages` pages hold.

    Parameters
    ----------
    groups
        Groups of layers that share the pool.
    pages
        Number of pages.
    step
        Maximum number of tokens per step.

    Returns
    -------
    int
        Number of tokens.

    Examples
    --------
    >>> longest_sequence([CacheGroup(16)], 10, 8192)
    160
    """
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
    """Groups of layers that share the pages."""

    def tokens_per_page(self, max_context: int, step: int) -> float:
        """Return the number of tokens that vLLM counts per page.

        Since 0.21 the logged size of the KV cache is `max_context` times the number of sequences of
        that length that fit simultaneously. A window counts with a step of the whole token budget
        (`get_max_concurrency_for_kv_cache_config`). Earlier releases logged the number of blocks
        divided by the number of groups, times the smallest block.
        """
        pages = sum(group.pages * group.reckoned_blocks(max_context, step) for group in self.groups)
        return max_context / pages

    def with_prefix_caching(self) -> PagePool:
        """Return the pool with two states per sequence: the one in use, and one to be found."""
        groups = (
            group._replace(slots=2) if group.view == "state" else group for group in self.groups
        )
        return self._replace(groups=tuple(groups))


def page_pool(kinds: Iterable[CacheKind], block_tokens: int, stages: int) -> PagePool:
    """Return the pool of pages that layers of several kinds share.

    All kinds use pages of one size. A kind with smaller tokens has more tokens per block. If a
    model has states, a block holds at least the bytes of one state, rounded to the multiple that
    attention kernels need. The number of layers per group is that of the kind with the fewest
    layers, or that of the kind with the most layers if it has less than half more. The last group
    of a kind is padded. Source: vLLM, see the module docstring.

    Parameters
    ----------
    kinds
        Kinds of layers of the model, on one device.
    block_tokens
        Number of tokens per block for the kind with the largest tokens.
    stages
        Number of pipeline stages, which share the layers evenly.

    Returns
    -------
    PagePool
        Size of a page [B] and the groups of layers.

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
