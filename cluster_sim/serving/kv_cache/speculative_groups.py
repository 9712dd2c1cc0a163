"""SpeculativeGroupedBlocks: pages of sequences with drafts if groups of layers share one pool.

As in SpeculativeBlocks, each sequence grows at its own rate, and the pages of all sequences are a
mean. In a group of layers that see the whole context, a sequence takes blocks for its tokens, its
drafts and half a block. In a group with a window it does so until it holds as many blocks as the
queries of a step can see: those of the window and of the drafts, wherever they begin.

Source: vLLM 0.22, `v1/core/kv_cache_manager.py` (allocate_slots, num_lookahead_tokens) and
`v1/core/single_type_kv_cache_manager.py`: drafts have slots in all groups, and a window frees the
tokens before the first query.
"""

from __future__ import annotations

from cluster_sim.physics.cache_groups import CacheGroup, Groups
from cluster_sim.serving.kv_cache.decoding_blocks import SpeculativeBlocks
from cluster_sim.serving.kv_cache.grouped_blocks import GroupedBlocks
from cluster_sim.serving.kv_cache.growing_sequences import GrowingSequences
from cluster_sim.serving.kv_cache.turns import NEVER

_ONE = SpeculativeBlocks.ONE


class _WindowPages:
    """Pages of one group of layers with a sliding window."""

    __slots__ = ("_block_tokens", "_most", "_pages", "_spare", "sequences")

    def __init__(self, group: CacheGroup, draft_tokens: int) -> None:
        self._pages, self._block_tokens = group.pages, group.block_tokens
        self._most = group.most_blocks(1 + draft_tokens)
        self._spare = (draft_tokens + -(-group.block_tokens // 2)) * _ONE
        self.sequences = GrowingSequences(self._most * group.block_tokens * _ONE - self._spare)

    def taken(self, clock: int) -> int:
        """Return the number of pages of all sequences at step `clock`."""
        sequences = self.sequences
        stored = sequences.length(clock) + self._spare * sequences.growing
        growing = -(-stored // (_ONE * self._block_tokens))
        return self._pages * (growing + sequences.full * self._most)


class SpeculativeGroupedBlocks(GroupedBlocks):
    """Tokens of sequences with speculative decoding, and their pages in all groups of layers.

    Groups with chunks or states are not supported.
    """

    __slots__ = ("_context", "_draft_tokens", "_offsets", "_rates", "_windows")

    def __init__(self, groups: Groups, draft_tokens: int) -> None:
        super().__init__(groups)
        self._draft_tokens = draft_tokens
        largest = max(group.block_tokens for group in groups)
        self.spare_tokens = draft_tokens + -(-largest // 2)
        self.step_tokens = 1 + draft_tokens
        # (pages per block, tokens per block, spare tokens) of groups that see the whole context
        self._context = [
            (group.pages, group.block_tokens, draft_tokens + -(-group.block_tokens // 2))
            for group in groups
            if group.view == "context"
        ]
        self._windows = self._new_windows()
        self._offsets = self._rates = 0
        self.slack_blocks = sum(
            pages * (3 + (draft_tokens + spare) // block) for pages, block, spare in self._context
        ) + sum(
            group.pages * group.most_blocks(1 + draft_tokens)
            for group in groups
            if group.view == "window"
        )

    @property
    def growth(self) -> float:
        """Mean number of tokens that a step adds to all sequences together."""
        return self._rates / _ONE

    def join(self, offset: int, rate: int) -> None:
        """Add a sequence with offset + rate·t tokens at step t, in units of 1/ONE."""
        self._offsets += offset
        self._rates += rate
        self.sequences += 1
        for window in self._windows:
            window.sequences.join(offset, rate, self._now)

    def leave(self, offset: int, rate: int) -> None:
        """Remove a sequence."""
        self._offsets -= offset
        self._rates -= rate
        self.sequences -= 1
        for window in self._windows:
            window.sequences.leave(offset, rate, self._now)

    def clear(self) -> None:
        """Remove all sequences."""
        self.sequences = self._offsets = self._rates = 0
        self.tokens = 0
        self._windows = self._new_windows()

    def count_tokens(self, clock: int) -> None:
        """Set `tokens` to the tokens of all sequences at step `clock`, fractions included."""
        self.tokens = (self._offsets + self._rates * clock) / _ONE

    def advance(self, now: int) -> None:
        """Advance to step `now`; handle windows that are full."""
        self._now = now
        for window in self._windows:
            window.sequences.advance(now)

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps until a window is full."""
        return min(
            (window.sequences.steps_until_change(now) for window in self._windows), default=NEVER
        )

    def taken(self, clock: int) -> int:
        """Return the number of pages of all sequences at step `clock`."""
        taken, stored = 0, self._offsets + self._rates * clock
        for pages, block, spare in self._context:
            taken += pages * -(-(stored + spare * self.sequences * _ONE) // (_ONE * block))
        for window in self._windows:
            taken += window.taken(clock)
        return taken

    def most(self, steps: int) -> float:
        """Return an upper bound of the pages that `steps` steps need, without an exact count."""
        grown = self.tokens + self.sequences * self.step_tokens * steps
        return grown // self.block_tokens + self.sequences * self.slack_blocks

    def _new_windows(self) -> list[_WindowPages]:
        return [
            _WindowPages(group, self._draft_tokens)
            for group in self.groups
            if group.view == "window"
        ]
