"""Pools of pages of KV cache that groups of layers share; see `physics.cache_groups`."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import NamedTuple

from cluster_sim.physics.cache_groups import CacheGroup, View


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
    of a kind is padded. Source: vLLM, see `physics.cache_groups`.

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
        state_tokens = kernel_tokens * ceil(state_bytes / (kernel_tokens * token_bytes))
        block_tokens = max(block_tokens, state_tokens)
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
