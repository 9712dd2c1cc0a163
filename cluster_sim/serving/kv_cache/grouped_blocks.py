"""GroupedBlocks: pages of decoding sequences if groups of layers share one pool of pages.

As in DecodingBlocks, there is no loop over sequences. Sequences whose cache grows, or whose window
is not full, are counted by their phase within a block; sequences with a full window are counted by
number. The moments at which a window becomes full or a chunk ends are events on the step clock:
`advance` handles them, and all counts are exact until the next such event.
"""

from __future__ import annotations

from math import inf

from cluster_sim.physics.cache_groups import CacheGroup, Groups, pages_held
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks
from cluster_sim.serving.kv_cache.turns import NEVER, Turns


class _WindowBlocks:
    """Blocks of one group of layers with a sliding window."""

    __slots__ = ("_filling", "_full", "_last_tokens", "_most", "_turns")

    def __init__(self, group: CacheGroup) -> None:
        self._filling = DecodingBlocks(group.block_tokens)
        self._most = group.most_blocks(1)
        self._last_tokens = (self._most - 1) * group.block_tokens + 1  # last block begins
        self._full = 0  # number of sequences with a full window
        self._turns: Turns[int] = Turns()

    def join(self, offset: int, now: int) -> None:
        """Add a sequence with `offset`."""
        if offset + now >= self._last_tokens:
            self._full += 1
        else:
            self._filling.join(offset, 1)
            self._turns.add(self._last_tokens - offset, 0)

    def leave(self, offset: int, now: int) -> None:
        """Remove a sequence with `offset`."""
        if offset + now >= self._last_tokens:
            self._full -= 1
        else:
            self._filling.leave(offset, 1)
            self._turns.remove(self._last_tokens - offset, 0)

    def advance(self, now: int) -> None:
        """Advance to step `now`."""
        while (due := self._turns.pop_due(now)) is not None:
            step, _, sequences = due
            for _ in range(sequences):
                self._filling.leave(self._last_tokens - step, 1)
            self._full += sequences

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps for which `taken` is valid in advance."""
        return self._turns.steps_until_next(now)

    def taken(self, clock: int) -> int:
        """Return the number of blocks of all sequences at step `clock`."""
        return self._filling.taken(clock) + self._full * self._most


class _ChunkBlocks:
    """Blocks of one group of layers with chunked attention; earlier chunks take no blocks."""

    __slots__ = ("_all", "_chunk_tokens", "_freed", "_turns")

    def __init__(self, group: CacheGroup) -> None:
        self._all = DecodingBlocks(group.block_tokens)
        self._chunk_tokens = group.view_tokens
        self._freed = 0  # number of blocks
        self._turns: Turns[int] = Turns()  # by number of earlier chunks

    def _freed_by(self, chunks: int) -> int:
        """Return the number of blocks of this number of whole chunks."""
        return chunks * self._chunk_tokens // self._all.block_tokens

    def join(self, offset: int, now: int) -> None:
        """Add a sequence with `offset`."""
        chunks = (offset + now) // self._chunk_tokens
        self._all.join(offset, 1)
        self._freed += self._freed_by(chunks)
        self._turns.add((chunks + 1) * self._chunk_tokens - offset, chunks)

    def leave(self, offset: int, now: int) -> None:
        """Remove a sequence with `offset`."""
        chunks = (offset + now) // self._chunk_tokens
        self._all.leave(offset, 1)
        self._freed -= self._freed_by(chunks)
        self._turns.remove((chunks + 1) * self._chunk_tokens - offset, chunks)

    def advance(self, now: int) -> None:
        """Advance to step `now`."""
        while (due := self._turns.pop_due(now)) is not None:
            step, chunks, sequences = due
            if sequences:
                self._freed += sequences * (self._freed_by(chunks + 1) - self._freed_by(chunks))
                self._turns.add(step + self._chunk_tokens, chunks + 1, sequences)

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps for which `taken` is valid in advance."""
        return self._turns.steps_until_next(now)

    def taken(self, clock: int) -> int:
        """Return the number of blocks of all sequences at step `clock`."""
        return self._all.taken(clock) - self._freed


class GroupedBlocks(DecodingBlocks):
    """Tokens of the decoding sequences of one replica, and pages of all groups of layers."""

    __slots__ = (
        "_growing",
        "_limited",
        "_now",
        "_short_rate",
        "_short_slack",
        "_state_pages",
        "groups",
    )

    def __init__(self, groups: Groups) -> None:
        super().__init__(1)
        self.groups = groups
        """Groups of layers that share the pool of pages."""
        self._now = 0
        self._growing, self._limited = _counters(groups)
        self._state_pages = sum(
            group.pages * group.slots for group in groups if group.view == "state"
        )
        rate, slack = 0.0, 0
        for group in groups:
            if group.view == "context":
                rate += group.pages / group.block_tokens
                slack += group.pages
            else:
                slack += group.pages * group.most_blocks(1)
        # With these two values, `most` has the same form as for one group.
        self.block_tokens = 1.0 / rate if rate else inf  # type: ignore[assignment]
        self.slack_blocks = slack
        # These hold for sequences so short that no window is full.
        self._short_rate = sum(
            group.pages / group.block_tokens for group in groups if group.view != "state"
        )
        self._short_slack = sum(group.pages * group.slots for group in groups)

    def join(self, offset: int, rate: int) -> None:
        """Add a sequence with `offset`."""
        for _, blocks in self._growing:
            blocks.join(offset, rate)
        for _, limited in self._limited:
            limited.join(offset, self._now)
        self.sequences += 1

    def leave(self, offset: int, rate: int) -> None:
        """Remove a sequence with `offset`."""
        for _, blocks in self._growing:
            blocks.leave(offset, rate)
        for _, limited in self._limited:
            limited.leave(offset, self._now)
        self.sequences -= 1

    def clear(self) -> None:
        """Remove all sequences."""
        self.sequences = 0
        self.tokens = 0
        self._growing, self._limited = _counters(self.groups)

    def advance(self, now: int) -> None:
        """Advance to step `now`; handle windows that are full and chunks that have ended."""
        self._now = now
        for _, limited in self._limited:
            limited.advance(now)

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps until a window is full or a chunk has ended."""
        return min((limited.steps_until_change(now) for _, limited in self._limited), default=NEVER)

    def of(self, tokens: int) -> int:
        """Return the number of pages of a sequence with `tokens` tokens between two steps."""
        return pages_held(self.groups, tokens)

    def taken(self, clock: int) -> int:
        """Return the number of pages of all sequences at step `clock`."""
        taken = self._state_pages * self.sequences
        for pages, blocks in self._growing:
            taken += pages * blocks.taken(clock)
        for pages, limited in self._limited:
            taken += pages * limited.taken(clock)
        return taken

    def most(self, steps: int) -> float:
        """Return an upper bound of the pages that `steps` steps need, without an exact count."""
        sequences = self.sequences
        grown = self.tokens + sequences * steps
        return min(
            grown // self.block_tokens + sequences * self.slack_blocks,
            grown * self._short_rate + sequences * self._short_slack,
        )


_Growing = list[tuple[int, DecodingBlocks]]
_Limited = list[tuple[int, _WindowBlocks | _ChunkBlocks]]


def _counters(groups: Groups) -> tuple[_Growing, _Limited]:
    """Return counters of blocks with their pages per block; growing groups are separate."""
    growing: dict[int, int] = {}
    limited: dict[CacheGroup, int] = {}
    for group in groups:
        if group.view == "context":
            growing[group.block_tokens] = growing.get(group.block_tokens, 0) + group.pages
        elif group.view != "state":
            kind = group._replace(pages=1)
            limited[kind] = limited.get(kind, 0) + group.pages
    return (
        [(pages, DecodingBlocks(tokens)) for tokens, pages in growing.items()],
        [
            (pages, _WindowBlocks(kind) if kind.view == "window" else _ChunkBlocks(kind))
            for kind, pages in limited.items()
        ],
    )
