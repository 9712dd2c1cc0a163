"""DecodingSequences: the requests of a replica that decode."""

from __future__ import annotations

from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import DecodingBlocks
from cluster_sim.serving.scheduler.sliding_window import SlidingWindow
from cluster_sim.serving.step_clock import StepClock


class DecodingSequences:
    """Requests that make one token per step each: when they finish, what they read and hold.

    Nothing here costs time that grows with their number.
    """

    __slots__ = ("blocks", "clock", "counted", "window")

    def __init__(self, blocks: DecodingBlocks, window_tokens: int = 0) -> None:
        self.blocks = blocks
        """Tokens and blocks that they hold."""
        self.clock = StepClock()
        self.window = SlidingWindow(window_tokens) if window_tokens else None
        """Counts of layers with a sliding window; None where the model has none."""
        self.counted = 0
        """Number of those that count for the statistics."""

    def join(self, request: Request, length: int) -> int:
        """Let a request with `length` tokens in the cache decode; return the steps that it takes."""
        steps = request.output_tokens - request.generated
        self.clock.start(request, steps)
        request.offset, request.rate = length - self.clock.now, 1
        self.counted += request.counted
        blocks = self.blocks
        blocks.tokens += length
        blocks.join(request.offset, 1)
        if self.window is not None:
            self.window.join(request, length)
        return steps

    def leave(self, request: Request, stored: int) -> int:
        """Take out a request with `stored` tokens in the cache; return the blocks it held."""
        self.clock.stop(request)
        self.counted -= request.counted
        blocks = self.blocks
        blocks.tokens -= stored
        blocks.leave(request.offset, 1)
        if self.window is not None:
            self.window.leave(stored)
        return -(-stored // blocks.block_tokens)

    def advance(self, steps: int) -> None:
        """Move on by `steps` steps, in which nobody joins or leaves."""
        blocks, clock = self.blocks, self.clock
        clock.now += steps
        blocks.tokens += blocks.sequences * steps
        if self.window is not None:
            self.window.advance(steps, clock.now)

    def generated(self, request: Request) -> int:
        """Return the tokens that a request has been answered."""
        return request.output_tokens - self.clock.steps_left(request)

    def count(self, request: Request) -> None:
        """Let a request count for the statistics."""
        self.counted += request.counted

    def uncount(self, request: Request) -> None:
        """Leave a request out of the statistics."""
        self.counted -= request.counted

    def steps_alike(self) -> int:
        """Return the steps until a request finishes or fills its window; there must be one."""
        steps = self.clock.steps_until_finish()
        if self.window is not None:
            return min(steps, self.window.steps_until_full(self.clock.now))
        return steps

    def count_tokens(self) -> None:
        """Count the tokens in the cache anew, where joining does not keep them up."""

    def write(self, work: StepWork) -> None:
        """Write what the next step works on for these sequences."""
        blocks = self.blocks
        work.batch = blocks.sequences
        work.growth = blocks.growth
        work.context = blocks.tokens + blocks.sequences * blocks.step_tokens
        if self.window is not None:
            work.windowed, work.growing = self.window.keys, self.window.growing
