"""Continuous batching where every step checks drafted tokens, so that each sequence grows at a rate
of its own.
"""

from __future__ import annotations

from heapq import heappush

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.allocator import GrowingRoom
from cluster_sim.serving.kv_cache.offload import Level
from cluster_sim.serving.scheduler.continuous import Continuous, ContinuousBatch
from cluster_sim.serving.speculation import Speculation, Streams


class SpeculativeBatch(ContinuousBatch):
    """The clock counts engine steps. How many a request needs is drawn when it begins to decode;
    its tokens come evenly over them.

    `pending_tokens` counts, of requests that decode, the steps that they have left.
    """

    __slots__ = ("_growing_room", "_speculation", "_streams")

    def __init__(
        self,
        kv_tokens: int,
        block_tokens: int,
        max_sequences: int,
        max_batched_tokens: int,
        chunked_prefill: bool,
        max_context: int,
        prefix_caching: bool,
        speculation: Speculation,
        streams: Streams,
        policy: Continuous | None = None,
        watermark: float = 0.0,
        swap_blocks: int = 0,
        swap_block_s: float = 0.0,
        offload: tuple[Level, ...] = (),
    ) -> None:
        self._growing_room = GrowingRoom(kv_tokens, block_tokens, speculation.draft_tokens)
        self._speculation, self._streams = speculation, streams
        super().__init__(
            kv_tokens, block_tokens, max_sequences, max_batched_tokens, chunked_prefill, max_context, 0, prefix_caching, speculation.draft_tokens,
            self._growing_room, policy, watermark, swap_blocks, swap_block_s, offload,
        )  # fmt: skip

    def _growth(self) -> float:
        """Return the tokens that a step adds, in the mean over the steps of each request."""
        return self._growing_room.growth

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """As of any batch."""
        finished = super().advance(steps, now_s)
        self.cached = self._growing_room.tokens(self.clock)
        return finished

    def _join(self, request: Request, length: int) -> None:
        left = request.output_tokens - request.generated
        steps = self._speculation.steps(left, self._streams(request.number, request.preemptions))
        self.pending_tokens -= left - steps
        one = self._growing_room.ONE
        ticket = self._tickets = self._tickets + 1
        request.ticket, request.rate = ticket, left * one // steps
        request.offset = length * one - self.clock * request.rate
        request.finish_clock = self.clock + steps
        heappush(self._finishing, (request.finish_clock, ticket, request))
        self.work.batch += 1
        if request.counted:
            self.counted += 1
        self._room.join(request.offset, request.rate)

    def _leave(self, request: Request, again: bool) -> None:
        stored, room = request.footprint, self._growing_room
        if again:
            stored = request.prompt_tokens + request.generated - 1
            self.pending_tokens += (
                request.output_tokens - request.generated - (request.finish_clock - self.clock)
            )
        request.ticket = -1
        self.work.batch -= 1
        if request.counted:
            self.counted -= 1
        taken = room.taken(self.clock)
        room.leave(request.offset, request.rate)
        self.cached = room.tokens(self.clock)
        if self._prefix is not None:
            self._give_back(request, stored, taken - room.taken(self.clock), again)

    def _generated(self, request: Request) -> int:
        return (
            (request.offset + request.rate * self.clock) // self._growing_room.ONE
            - request.prompt_tokens
            + 1
        )
