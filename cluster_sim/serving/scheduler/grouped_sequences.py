"""GroupedSequences: the requests of a replica that decode, where groups of layers share a pool."""

from __future__ import annotations

from cluster_sim.physics.limited_view import NO_VIEW, LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.grouped_blocks import GroupedBlocks
from cluster_sim.serving.scheduler.decoding import DecodingSequences


class GroupedSequences(DecodingSequences):
    """Requests that make one token per step each, and hold pages in several groups.

    Steps stay alike until a window is full or a chunk has ended, too.
    """

    __slots__ = ("_pages",)

    def __init__(self, pages: GroupedBlocks, view: LimitedView = NO_VIEW) -> None:
        super().__init__(pages, view)
        self._pages = pages

    def leave(self, request: Request, stored: int) -> int:
        """Take out a request that is off the clock; return the pages that it held."""
        super().leave(request, stored)
        return self._pages.of(stored)

    def advance(self, steps: int) -> list[Request] | None:
        """Move on by `steps` steps, in which nobody joins or leaves; return as `tick` does."""
        due = super().advance(steps)
        self._pages.advance(self.now)
        return due

    def write(self, work: StepWork) -> int:
        """Write what the next step works on; return for how many steps that stays alike."""
        return min(super().write(work), self._pages.steps_until_change(self.now))
