"""Where blocks of KV go that the devices throw away: the host's memory, disks, and whether they are
worth bringing back.

After the offloading connectors of vLLM and LMCache (vllm/v1/kv_offload,
lmcache/v1/storage_backend): what falls out of the devices' memory goes to the first tier, what
falls out of that one to the next, and from the last it is lost. Writing goes on beside the engine's
steps and costs them nothing; so it does not matter that those write a block as soon as it is full,
but that they then keep it twice, which takes more of a tier. A step that fetches blocks waits until
they are there, from one tier after another. KV of layers with a window, which is not kept in blocks
of whole prompts, is left out.

As in the prefix cache nothing here looks at single blocks. Of a piece blocks are thrown away from
the last to the first, by the devices as by each tier, so a tier keeps neighbours of it: two numbers
a piece and tier. The piece least recently written or fetched loses blocks first. A block that is
fetched stays in its tier.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal, NamedTuple

from cluster_sim.schema import Description
from cluster_sim.units import Bytes, BytesPerSecond


class Tier(Description):
    """Memory behind that of the devices, for each replica."""

    tier: Literal["host", "nvme", "memoryx"]
    capacity_bytes: Bytes
    """For the KV of one replica."""
    bandwidth_bytes_per_s: BytesPerSecond
    """From here to all devices of one replica together."""


class Level(NamedTuple):
    """What a replica knows of a tier."""

    blocks: int
    """For which it has room."""
    block_s: float
    """Until one of them is back on the devices [s]."""
    is_fetched: bool
    """Whether that is sooner than to read its tokens again."""


def levels(tiers: Iterable[Tier], block_bytes: float, reading_s: float) -> tuple[Level, ...]:
    """The tiers as a replica knows them.

    block_bytes: of a block of KV on all of its devices [B]; reading_s: to read a block's tokens
    again [s], an estimate.

    >>> levels([Tier(tier="host", capacity="1 GB", bandwidth="10 GB/s")], block_bytes=5e6, reading_s=1e-3)
    (Level(blocks=200, block_s=0.0005, is_fetched=True),)
    """
    seconds = [block_bytes / tier.bandwidth_bytes_per_s for tier in tiers]
    return tuple(
        Level(int(tier.capacity_bytes / block_bytes), block_s, block_s < reading_s)
        for tier, block_s in zip(tiers, seconds, strict=True)
    )


class TierStore:
    """What is in the tiers of one replica.

    What a tier keeps of a piece begins no later than what is kept before it ends: all blocks up to
    its `end` are on the devices, in a tier before, or here.
    """

    __slots__ = ("_kept", "_levels", "_taken")

    def __init__(self, of: tuple[Level, ...]) -> None:
        self._levels = of
        self._kept: list[OrderedDict[int, tuple[int, int]]] = [
            OrderedDict() for _ in of
        ]  # (begin, end) by piece, the next to lose first
        self._taken = [0] * len(of)

    def put(self, piece: int, begin: int, end: int, place: int = 0) -> None:
        """The blocks from `begin` to `end` of a piece were thrown away before the tier at `place`.

        Where there would be a gap to what it keeps of the piece already, that lies before it too,
        and is written with them.
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

    def find(self, piece: object, begin: int, end: int) -> tuple[int, float]:
        """(blocks of a piece from `begin` on, before `end`, that are fetched; how long that takes
        [s]).
        """
        found, seconds = begin, 0.0
        for level, kept in zip(self._levels, self._kept, strict=True):
            last = min(kept.get(piece, (0, 0))[1], end)  # type: ignore[call-overload]
            if last > found:
                if not level.is_fetched:
                    break
                seconds += (last - found) * level.block_s
                found = last
        return found - begin, seconds

    def touch(self, piece: object) -> None:
        """Blocks of a piece were fetched: it is the last to lose others."""
        for kept in self._kept:
            if piece in kept:
                kept.move_to_end(piece)  # type: ignore[arg-type]
