"""SpeculativeSequences: decoding requests with speculative decoding."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.physics.limited_view import NO_VIEW, LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import SpeculativeBlocks
from cluster_sim.serving.kv_cache.speculative_groups import SpeculativeGroupedBlocks
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.speculative_window import SpeculativeWindow
from cluster_sim.serving.speculation import Speculation, Streams

_ONE = SpeculativeBlocks.ONE


class Drafting(NamedTuple):
    """Speculative decoding of one replica."""

    speculation: Speculation
    """Number of drafted tokens and their acceptance."""
    streams: Streams
    """Random generators of the replica's requests."""


class SpeculativeSequences(DecodingSequences):
    """Decoding requests that each grow at an individual rate.

    The number of steps of a request is drawn when it begins to decode, and its tokens are spread
    evenly over these steps.
    """

    __slots__ = ("_grown", "_speculation", "_streams", "_window")

    def __init__(
        self,
        blocks: SpeculativeBlocks | SpeculativeGroupedBlocks,
        drafting: Drafting,
        view: LimitedView = NO_VIEW,
    ) -> None:
        self._speculation, self._streams = drafting
        self._grown = blocks
        drafts = self._speculation.draft_tokens
        self._window = SpeculativeWindow(view.tokens, drafts) if view.tokens else None
        super().__init__(blocks)

    def join(self, request: Request, length: int) -> int:
        """Let a request with `length` tokens in the cache decode.

        Returns the number of its steps minus the number of its remaining tokens. The caller counts
        tokens again when all requests have joined.
        """
        left = request.output_tokens - request.generated
        rng = self._streams(request.number, request.preemptions)
        steps = self._speculation.steps(left, rng, length)
        self.start(request, steps)
        request.rate = left * _ONE // steps
        request.offset = length * _ONE - self.now * request.rate
        self.counted += request.counted
        self._grown.join(request.offset, request.rate)
        if self._window is not None:
            self._window.sequences.join(request.offset, request.rate, self.now)
        return steps - left

    def leave(self, request: Request, stored: int) -> int:
        """Remove a request that is off the clock; return the number of blocks that it held."""
        self.counted -= request.counted
        before = self._grown.taken(self.now)
        self._grown.leave(request.offset, request.rate)
        if self._window is not None:
            self._window.sequences.leave(request.offset, request.rate, self.now)
        self.count_tokens()
        return before - self._grown.taken(self.now)

    def advance(self, steps: int) -> list[Request] | None:
        """Advance by `steps` steps without joins or leaves; return the same as `tick`."""
        finished = self.tick(steps)
        self._grown.advance(self.now)
        if self._window is not None:
            self._window.sequences.advance(self.now)
        self.count_tokens()
        return finished

    def generated(self, request: Request) -> int:
        """Return the number of tokens generated for a request so far."""
        made = (request.offset + request.rate * self.now) // _ONE
        return made - request.prompt_tokens + 1

    def write(self, work: StepWork) -> int:
        """Write the counts of the next step; return the number of equal steps."""
        steps, now, window = super().write(work), self.now, self._window
        work.growth = self._grown.growth
        if window is not None:
            work.windowed, work.growing = window.keys(now), window.growth
            steps = min(steps, window.sequences.steps_until_change(now))
        return min(steps, self._grown.steps_until_change(now))

    def count_tokens(self) -> None:
        """Count the tokens in the cache again."""
        self._grown.count_tokens(self.now)
