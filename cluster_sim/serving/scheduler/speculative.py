"""SpeculativeSequences: requests that decode where every step checks drafted tokens."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import SpeculativeBlocks
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.speculation import Speculation, Streams

_ONE = SpeculativeBlocks.ONE


class Drafting(NamedTuple):
    """Speculation of one replica."""

    speculation: Speculation
    """How many tokens are drafted, and how many of them are kept."""
    streams: Streams
    """Random generators of its requests."""


class SpeculativeSequences(DecodingSequences):
    """Requests that each grow at a rate of their own.

    How many steps a request needs is drawn when it begins to decode; its tokens come evenly over
    them. Models with a sliding window are left out.
    """

    __slots__ = ("_grown", "_speculation", "_streams")

    def __init__(self, block_tokens: int, drafting: Drafting) -> None:
        self._speculation, self._streams = drafting
        self._grown = SpeculativeBlocks(block_tokens, self._speculation.draft_tokens)
        super().__init__(self._grown)

    def join(self, request: Request, length: int) -> int:
        """Let a request with `length` tokens in the cache decode.

        Returns by how many the steps that it takes exceed the tokens that it has left. The caller counts tokens anew when all have joined.
        """
        left = request.output_tokens - request.generated
        steps = self._speculation.steps(left, self._streams(request.number, request.preemptions))
        self.start(request, steps)
        request.rate = left * _ONE // steps
        request.offset = length * _ONE - self.now * request.rate
        self.counted += request.counted
        self._grown.join(request.offset, request.rate)
        return steps - left

    def leave(self, request: Request, stored: int) -> int:
        """Take out a request that is off the clock; return the blocks that it held."""
        self.counted -= request.counted
        before = self._grown.taken(self.now)
        self._grown.leave(request.offset, request.rate)
        self.count_tokens()
        return before - self._grown.taken(self.now)

    def advance(self, steps: int) -> list[Request] | None:
        """Move on by `steps` steps, in which nobody joins or leaves; return as `tick` does."""
        finished = self.tick(steps)
        self.count_tokens()
        return finished

    def generated(self, request: Request) -> int:
        """Return the tokens that a request has been answered."""
        made = (request.offset + request.rate * self.now) // _ONE
        return made - request.prompt_tokens + 1

    def write(self, work: StepWork) -> int:
        """Write what the next step works on; return for how many steps that stays alike."""
        steps = super().write(work)
        work.growth = self._grown.growth
        return steps

    def count_tokens(self) -> None:
        """Count the tokens in the cache anew."""
        self._grown.count_tokens(self.now)
