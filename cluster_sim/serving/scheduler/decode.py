"""The batch of a replica that decodes what others have read."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.continuous import ContinuousBatch
from cluster_sim.serving.scheduler.speculative import SpeculativeBatch


class DecodeBatch(ContinuousBatch):
    """Room and a place are promised to a request before its KV is sent; when that has landed it
    decodes from the next step on.

    Who is preempted is read again here, as by vLLM's decode instances; while somebody waits for
    that nothing is promised. Between two `schedule`s `steps` says how many of the scheduled steps
    have ended.
    """

    promised = 0
    """Requests whose KV is on its way, or has landed since the last `schedule`."""
    _landed: tuple[Request, ...] = ()

    def kv_share(self, steps: int) -> float:
        """Share of the room that is taken or promised."""
        return 1.0 - self._free(steps) / self._room.blocks

    def can_take(self, request: Request, steps: int) -> bool:
        """Whether there is room and a place for a request whose prompt has been read elsewhere."""
        if self.waiting or self._chunks or len(self.running) + self.promised >= self._max_sequences:
            return False
        wanted = self._promise(request) + (self._ahead if self.running or self.promised else 0)
        # Far from the limit, no counting.
        return self._most_blocks(
            steps + 1
        ) + self._held + wanted < self._blocks or wanted <= self._free(steps)

    def promise(self, request: Request) -> None:
        """Its room is kept for it. The stretch under way may now be too long, see `within_room`."""
        self.promised += 1
        self._blocks -= self._promise(request)
        self.pending_tokens += (
            request.output_tokens - 1
        )  # the first is made where its prompt is read

    def within_room(self, steps: int) -> int:
        """The most of `steps` steps, from the next one on, for which there is room."""
        return (
            self._steps_with_room(steps)
            if self._most_blocks(steps) + self._held >= self._blocks
            else steps
        )

    def land(self, request: Request) -> None:
        """Its KV is here."""
        self._landed += (request,)

    def drain(self, now_s: float) -> list[Request]:
        """As of any batch; who has landed is here as well."""
        landed, self._landed = list(self._landed), ()
        return super().drain(now_s) + landed

    def schedule(self, now_s: float, at_most: int) -> int:
        """As of any batch; who has landed decodes in the scheduled step, which is one alone."""
        if not self._landed:
            return super().schedule(now_s, at_most)
        for request in self._landed:
            self._take_over(request)
        self._landed = ()
        return super().schedule(now_s, 1)

    def _take_over(self, request: Request) -> None:
        if self._prefix is not None:
            self._prefix.take_until(self._blocks - self._room.taken(self.clock) - self._held)
            request.holds = []
            self._prefix.hold(request, request.prompt_tokens // self._block_tokens, computed=True)
        self.promised -= 1
        self._blocks += self._promise(request)
        self.running[request] = None
        if self._victims is not None:
            self._victims.add(request)
        self._join(request, request.prompt_tokens)
        self.counted -= (
            request.counted
        )  # its next gap holds the hand-over, and is added when it has ended
        request.stalled_s = request.first_token_s
        self._returned.append(request)

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """As of any batch; one that has just landed still waits for its second token since it was
        given the first.
        """
        fresh = request in self._returned
        if fresh:
            self._returned.remove(request)
            self.counted += request.counted
        super()._preempt(request, now_s, free)
        if fresh:
            request.stalled_s = request.first_token_s

    def _promise(self, request: Request) -> int:
        """Blocks of its prompt and of the token that the first step here adds."""
        return self._room.blocks_for(request.prompt_tokens + 1)

    def _free(self, steps: int) -> int:
        """Blocks that are free in the step that follows `steps` of the scheduled ones."""
        return self._blocks - self._room.taken(self.clock + steps + 1) - self._held


class SpeculativeDecodeBatch(DecodeBatch, SpeculativeBatch):
    """The same where every step checks drafted tokens."""

    def _take_over(self, request: Request) -> None:
        super()._take_over(request)
        self.cached = self._growing_room.tokens(self.clock)
