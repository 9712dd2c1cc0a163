"""ChunkedView: number of keys that decoding sequences read in layers with chunked attention."""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.sliding_window import SlidingWindow


class ChunkedView(SlidingWindow):
    """Keys in the chunks of decoding sequences, as in Llama 4.

    Every sequence reads one more key per step, until its chunk is full and a new chunk begins.
    """

    __slots__ = ()

    def join(self, request: Request, length: int) -> None:
        """Add a sequence with `length` tokens in the cache."""
        self.keys += length % self.tokens + 1
        self.growing += 1
        begins = length - request.offset + self.tokens - length % self.tokens
        heappush(self._filling, (begins, request.ticket, request))

    def leave(self, length: int) -> None:
        """Remove a sequence with `length` tokens in the cache."""
        self.keys -= length % self.tokens + 1
        self.growing -= 1

    def advance(self, steps: int, now: int) -> None:
        """Advance by `steps` steps, to step `now` of the scheduler's clock."""
        self.keys += self.growing * steps
        filling = self._filling
        while filling and filling[0][0] <= now:
            begins, ticket, request = filling[0]
            if request.ticket == ticket:
                self.keys -= self.tokens
                heapreplace(filling, (begins + self.tokens, ticket, request))
            else:
                heappop(filling)
