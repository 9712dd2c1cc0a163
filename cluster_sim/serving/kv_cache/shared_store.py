"""SharedStore: blocks of KV cache that the replicas of a pool or of the cluster share.

The model follows Mooncake Store and the remote backends of LMCache behind vLLM
(vllm/distributed/kv_transfer/kv_connector/v1/mooncake/store/scheduler.py, 0.22;
lmcache/v1/cache_engine.py and lmcache_integration/vllm/vllm_v1_adapter.py). A replica writes the
full blocks of a prompt when their prefill is over, without those that the store has. It writes no
blocks of answers (`save_decode_cache: false`, the default of LMCache; MooncakeStoreScheduler stops
at the end of the prefill). Every replica finds the blocks that any replica wrote. A fetched block
stays in the store. Evicted blocks are those that were written or fetched least recently.

As in the prefix cache, there is no loop over blocks: the store keeps leading blocks of each piece,
and evicts the last ones first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from cluster_sim.request import Request


class StoredPart(NamedTuple):
    """Full blocks of a prompt that end in one of its pieces."""

    identity: Hashable
    """Identity of the piece; for content of this prompt alone, that of the request."""
    blocks: int
    """Number of blocks."""


def parts_of(request: Request, block_tokens: int) -> Iterator[StoredPart]:
    """Yield the full blocks of a request's prompt, piece by piece.

    >>> request = Request(7, 0.0, 50, 1, pieces=((1, 25), (2, 10)))
    >>> [tuple(part) for part in parts_of(request, block_tokens=10)]
    [(1, 2), (2, 1), (('request', 7), 2)]
    """
    end = 0
    for identity, tokens in request.pieces:
        first = end // block_tokens
        end += tokens
        yield StoredPart(identity, end // block_tokens - first)
    yield StoredPart(
        ("request", request.number), request.prompt_tokens // block_tokens - end // block_tokens
    )


class SharedStore:
    """Blocks of all replicas that share one tier.

    Parameters
    ----------
    blocks
        Number of blocks that the tier can hold.
    """

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._kept: OrderedDict[Hashable, int] = OrderedDict()
        self.taken = 0
        """Number of stored blocks."""

    def stored(self, identity: Hashable) -> int:
        """Return the number of leading blocks of a piece in the store."""
        return self._kept.get(identity, 0)

    def missing(self, parts: Iterable[StoredPart]) -> int:
        """Return the number of a prompt's blocks that are not in the store."""
        return sum(max(part.blocks - self.stored(part.identity), 0) for part in parts)

    def put(self, parts: Iterable[StoredPart]) -> None:
        """Store the blocks of a prompt; the blocks of least recent use are evicted.

        The first part becomes the last to lose blocks.
        """
        for identity, blocks in reversed([*parts]):
            if blocks:
                known = self._kept.pop(identity, 0)
                self._kept[identity] = max(known, blocks)
                self.taken += max(blocks - known, 0)
        while (over := self.taken - self._blocks) > 0:
            oldest, blocks = next(iter(self._kept.items()))
            if blocks <= over:
                del self._kept[oldest]
            else:
                self._kept[oldest] = blocks - over
            self.taken -= min(blocks, over)

    def touch(self, identity: Hashable) -> None:
        """Record that blocks of a piece were fetched; it becomes the last to lose blocks."""
        if identity in self._kept:
            self._kept.move_to_end(identity)


class StoreView(NamedTuple):
    """Shared store as the scheduler of one replica sees it."""

    store: SharedStore
    block_s: float
    """Time to fetch a block to the devices without other traffic [s]."""
    latency_s: float
    """Time until the first block arrives [s]."""
    recompute_s: float
    """Estimated time to recompute a block [s]."""

    def fetch_s(self, blocks: int) -> float:
        """Return the time to fetch blocks without other traffic [s]."""
        return self.latency_s + blocks * self.block_s

    def is_faster(self, blocks: int) -> bool:
        """Return whether fetching blocks is faster than recomputing them."""
        return self.fetch_s(blocks) < blocks * self.recompute_s
