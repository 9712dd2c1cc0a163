"""Offload tiers of the KV cache: storage of blocks that the devices evict, and fetching of blocks.

The model follows the offloading connectors of vLLM and LMCache (vllm/v1/kv_offload,
lmcache/v1/storage_backend). A block that the devices evict moves to the first tier. A block that a
tier evicts moves to the next tier; the last tier drops it. Writes run in parallel to the engine's
steps and cost no time. A step that fetches blocks waits for them, from one tier after another. Two
things are not modelled: the connectors write a block as soon as it is full and then keep two
copies, which takes more capacity; and the KV cache of layers with a sliding window is not
offloaded.

As in the prefix cache, there is no loop over blocks. The devices and each tier evict the blocks of
a piece from the last to the first, so a tier keeps consecutive blocks of a piece, given by two
numbers. The piece that was written or fetched least recently loses blocks first. A fetched block
stays in its tier.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal, NamedTuple

from cluster_sim.schema import Description
from cluster_sim.serving.kv_cache.shared_store import StoreView
from cluster_sim.units import Bytes, BytesPerSecond, Seconds


class Tier(Description):
    """Memory for the KV cache of replicas, behind the memory of their devices."""

    tier: Literal["host", "nvme", "memoryx", "store"]
    """Kind of memory of this tier. store: servers on the network that keep KV cache, such as
    Mooncake Store or an LMCache server."""
    capacity_bytes: Bytes
    """Capacity for the KV cache of one replica; of a shared tier, for that of all its replicas
    [B]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Bandwidth from this tier to all devices of one attention rank together [B/s]. A shared tier
    is no faster than the network between them."""
    shared: Literal["replica", "pool", "cluster"] = "replica"
    """Replicas that share the tier. replica: each has its own. pool: those of the pool. cluster:
    those of all pools with such a tier. A shared tier is reached over the network, gets the blocks
    of prompts when their prefill is over, and is the last of the list."""
    store_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Bandwidth of a shared tier in each direction, for all its replicas together [B/s]. Default:
    only the network and `bandwidth` limit it."""
    latency_s: Seconds = 0.0
    """Time from the request of blocks of a shared tier to the first of them, beside the latency of
    the network [s]. Default: 0."""

    @property
    def is_shared(self) -> bool:
        """Whether several replicas share the tier."""
        return self.shared != "replica"


class Level(NamedTuple):
    """Tier in the units of the scheduler of a replica."""

    blocks: int
    """Number of blocks that the tier can hold."""
    block_s: float
    """Time to fetch a block to the devices [s]."""
    is_fetched: bool
    """Whether fetching a block is faster than recomputing it."""


def levels(tiers: Iterable[Tier], block_bytes: float, recompute_s: float) -> tuple[Level, ...]:
    """Return the tiers in the units of the scheduler of a replica.

    Parameters
    ----------
    tiers
        Tiers in the order in which evicted blocks move through them.
    block_bytes
        Size of a block on all devices of the replica [B].
    recompute_s
        Estimated time to recompute a block [s].

    Examples
    --------
    >>> host = Tier(tier="host", capacity="1 GB", bandwidth="10 GB/s")
    >>> levels([host], block_bytes=5e6, recompute_s=1e-3)
    (Level(blocks=200, block_s=0.0005, is_fetched=True),)
    """
    seconds = [block_bytes / tier.bandwidth_bytes_per_s for tier in tiers]
    return tuple(
        Level(int(tier.capacity_bytes / block_bytes), block_s, block_s < recompute_s)
        for tier, block_s in zip(tiers, seconds, strict=True)
    )


class Stored(NamedTuple):
    """Blocks behind the devices' cache that a request can use."""

    blocks: int = 0
    """Number of blocks, in all tiers."""
    own_s: float = 0.0
    """Time to fetch those of the replica's own tiers [s]."""
    shared: int = 0
    """Number of the blocks that are fetched from a shared tier."""


class TierStore:
    """Blocks in the tiers of one replica, and in a tier that it shares.

    There are no gaps: all blocks of a piece up to the `end` in a tier are on the devices, in an
    earlier tier, or in this tier.
    """

    __slots__ = ("_kept", "_levels", "_taken", "view")

    def __init__(self, tiers: tuple[Level, ...], view: StoreView | None = None) -> None:
        self._levels = tiers
        self.view = view
        """Tier that is shared with other replicas; None if there is none."""
        # (begin, end) by piece; the first piece is the next to lose blocks
        self._kept: list[OrderedDict[int, tuple[int, int]]] = [OrderedDict() for _ in tiers]
        self._taken = [0] * len(tiers)

    def put(self, piece: int, begin: int, end: int, place: int = 0) -> None:
        """Store the blocks from `begin` to `end` of a piece in the tier with index `place`.

        Blocks between them and the tier's present blocks of the piece are in earlier tiers, and are
        written as well.
        """
        if place == len(self._levels):
            return
        kept = self._kept[place]
        if (known := kept.pop(piece, None)) is not None:
            self._taken[place] -= known[1] - known[0]
            begin, end = min(begin, known[0]), max(end, known[1])
        kept[piece] = (begin, end)
        self._taken[place] += end - begin
        while (over := self._taken[place] - self._levels[place].blocks) > 0:
            oldest, (begin, end) = next(iter(kept.items()))
            left = max(end - over, begin)
            if left == begin:
                del kept[oldest]
            else:
                kept[oldest] = (begin, left)
            self._taken[place] -= end - left
            self.put(oldest, left, end, place + 1)

    def find(self, piece: object, begin: int, end: int, *, shared: bool = True) -> Stored:
        """Return the blocks of a piece to fetch, from `begin` to `end` at most.

        shared: whether to look into the shared tier too.
        """
        found, seconds = begin, 0.0
        for level, kept in zip(self._levels, self._kept, strict=True):
            last = min(kept.get(piece, (0, 0))[1], end)  # type: ignore[call-overload]
            if last > found:
                if not level.is_fetched:
                    break
                seconds += (last - found) * level.block_s
                found = last
        own = found
        if shared and self.view is not None:
            found = max(found, min(self.view.store.stored(piece), end))
        return Stored(found - begin, seconds, found - own)

    def touch(self, piece: object) -> None:
        """Record that blocks of a piece were fetched; the piece becomes the last to lose blocks."""
        for kept in self._kept:
            if piece in kept:
                kept.move_to_end(piece)  # type: ignore[arg-type]
        if self.view is not None:
            self.view.store.touch(piece)
