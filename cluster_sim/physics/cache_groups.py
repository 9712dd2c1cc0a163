"""Groups of layers that share one pool of KV cache blocks, and the pages that a sequence holds.

Layers of one kind of attention form a group. Every block of every group takes a page of one pool.
A sequence holds a block per `block_tokens` of its tokens in a group that sees the whole context. A
group with a window or a chunk holds no more blocks than a query sees. A group with states holds one
slot per sequence.

Source: vLLM 0.22 (vllm/v1/core/kv_cache_utils.py, single_type_kv_cache_manager.py,
v1/kv_cache_interface.py; model_executor/models/config.py for blocks beside states;
docs/design/hybrid_kv_cache_manager.md). Two rules are simpler here. First, a block that has left
the window stays with its sequence and becomes its next block. vLLM frees the block and allocates
another one within `block_tokens` tokens, so a sequence here holds at most one block per window more
than in vLLM. Second, the size of a page is the mean over the pipeline stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

_UNLIMITED = 1 << 40  # tokens

View = Literal["context", "window", "chunk", "state"]
"""View of a query: all tokens before it, the tokens of a sliding window, the tokens of its chunk of
the text, or a state that replaces them."""


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
