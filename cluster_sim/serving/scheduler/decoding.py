"""DecodingSequences: the requests of a replica that decode."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.physics.limited_view import NO_VIEW, LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks
from cluster_sim.serving.scheduler.chunked_view import ChunkedView
from cluster_sim.serving.scheduler.sliding_window import SlidingWindow
from cluster_sim.serving.step_clock import NO_TICKET, StepClock

_INDEFINITELY = 1 << 62


class DecodingSequences(StepClock):
    """Requests that make one token per step each: when they finish, what they read and hold.

    Nothing here costs time that grows with their number.

    NOTE: it is a StepClock, and does not have one, so that what is asked of the clock in each
    stretch of steps is spelled out here: 0.3 us of the 14 us of a request.
    """

    __slots__ = ("blocks", "counted", "window")

    def __init__(self, blocks: DecodingBlocks, view: LimitedView = NO_VIEW) -> None:
        super().__init__()
        self.blocks = blocks
        """Tokens and blocks that they hold."""
        self.window = _window(view)
        """Counts of layers whose view is limited; None where the model has none."""
        self.counted = 0
        """Number of those that count for the statistics."""

    def join(self, request: Request, length: int) -> int:
        """Let a request with `length` tokens in the cache decode.

        Returns by how many the steps that it takes exceed the tokens that it has left.
        """
        now = self.now
        request.ticket = ticket = self._tickets = self._tickets + 1  # as `start`
        finish = request.finish_clock = now + request.output_tokens - request.generated
        heappush(self._finishing, (finish, ticket, request))
        offset = request.offset = length - now
        request.rate = 1
        self.counted += request.counted
        self.blocks.tokens += length
        self.blocks.join(offset, 1)
        if self.window is not None:
            self.window.join(request, length)
        return 0

    def leave(self, request: Request, stored: int) -> int:
        """Take out a request that is off the clock, with `stored` tokens in the cache.

        Returns the blocks that it held.
        """
        self.counted -= request.counted
        blocks = self.blocks
        blocks.tokens -= stored
        blocks.leave(request.offset, 1)
        if self.window is not None:
            self.window.leave(stored)
        return -(-stored // blocks.block_tokens)

    def advance(self, steps: int) -> list[Request] | None:
        """Move on by `steps` steps, in which nobody joins or leaves; return as `tick` does."""
        blocks, finishing = self.blocks, self._finishing
        blocks.tokens += blocks.sequences * steps
        now = self.now = self.now + steps
        if self.window is not None:  # before any are off the clock: they may fill it as they finish
            self.window.advance(steps, now)
        if not finishing or finishing[0][0] > now:  # as `tick`
            return None
        finished = []
        while finishing and finishing[0][0] <= now:
            _, ticket, request = heappop(finishing)
            if request.ticket == ticket:
                request.ticket = NO_TICKET
                finished.append(request)
        return finished

    def generated(self, request: Request) -> int:
        """Return the tokens that a request has been answered."""
        return request.output_tokens - self.steps_left(request)

    def count(self, request: Request) -> None:
        """Let a request count for the statistics."""
        self.counted += request.counted

    def uncount(self, request: Request) -> None:
        """Leave a request out of the statistics."""
        self.counted -= request.counted

    def count_tokens(self) -> None:
        """Count the tokens in the cache anew, where joining does not keep them up."""

    def write(self, work: StepWork) -> int:
        """Write what the next step works on for these sequences.

        Returns for how many steps they stay alike: until one finishes or fills its window.
        """
        blocks = self.blocks
        work.batch = blocks.sequences
        work.growth = blocks.sequences
        work.counted = self.counted
        work.context = blocks.tokens + blocks.sequences * blocks.step_tokens
        if self.window is not None:
            work.windowed, work.growing = self.window.keys, self.window.growing
        if not work.batch:
            return _INDEFINITELY
        step, ticket, request = self._finishing[0]  # as `steps_until_finish`
        steps = step - self.now
        if steps <= 0 or request.ticket != ticket:
            steps = self.steps_until_finish()
        if self.window is not None:
            return min(steps, self.window.steps_until_full(self.now))
        return steps


def _window(view: LimitedView) -> SlidingWindow | None:
    if not view.tokens:
        return None
    return ChunkedView(view.tokens) if view.is_chunked else SlidingWindow(view.tokens)
