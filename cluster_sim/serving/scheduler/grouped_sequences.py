"""GroupedSequences: decoding requests of a replica whose groups of layers share one pool."""

from __future__ import annotations

from cluster_sim.physics.limited_view import NO_VIEW, LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.grouped_blocks import GroupedBlocks
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.longest_sequence import LongestSequence


class GroupedSequences(DecodingSequences):
    """Requests that generate one token per step each, and hold pages in several groups.

    A run of equal steps also ends when a window is full or a chunk has ended.
    """

    __slots__ = ("_pages",)

    def __init__(
        self,
        pages: GroupedBlocks,
        view: LimitedView = NO_VIEW,
        longest: LongestSequence | None = None,
    ) -> None:
        super().__init__(pages, view, longest)
        self._pages = pages

    def leave(self, request: Request, stored: int) -> int:
        """Remove a request that is off the clock; return the number of pages that it held."""
        super().leave(request, stored)
        return self._pages.of(stored)

    def advance(self, steps: int) -> list[Request] | None:
        """Advance by `steps` steps without joins or leaves; return the same as `tick`."""
        due = super().advance(steps)
        self._pages.advance(self.now)
        return due

    def write(self, work: StepWork) -> int:
        """Write the counts of the next step; return the number of equal steps."""
        return min(super().write(work), self._pages.steps_until_change(self.now))
