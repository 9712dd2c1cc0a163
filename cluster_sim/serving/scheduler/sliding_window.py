"""SlidingWindow: number of keys that decoding sequences read in layers with a sliding window."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.request import Request

_NEVER = 1 << 62


class SlidingWindow:
    """Keys in the windows of decoding sequences, and the number of windows that are not full.

    Only sequences that are shorter than the window read one more key per step.
    """

    __slots__ = ("_filling", "growing", "keys", "tokens")

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        """Size of the window [tokens]."""
        self.keys = 0
        """Number of keys that all sequences read in the next step."""
        self.growing = 0
        """Number of sequences that are shorter than the window."""
        # heap of (step at which the window is full, ticket, request); as in StepClock, an entry
        # with an old ticket is void
        self._filling: list[tuple[int, int, Request]] = []

    def join(self, request: Request, length: int) -> None:
        """Add a sequence with `length` tokens in the cache."""
        self.keys += min(length + 1, self.tokens)
        if length + 1 < self.tokens:
            self.growing += 1
            heappush(self._filling, (self.tokens - 1 - request.offset, request.ticket, request))

    def leave(self, length: int) -> None:
        """Remove a sequence with `length` tokens in the cache."""
        self.keys -= min(length + 1, self.tokens)
        if length + 1 < self.tokens:
            self.growing -= 1

    def advance(self, steps: int, now: int) -> None:
        """Advance by `steps` steps, to step `now` of the scheduler's clock."""
        self.keys += self.growing * steps
        filling = self._filling
        while filling and filling[0][0] <= now:
            _, ticket, request = heappop(filling)
            if request.ticket == ticket:
                self.growing -= 1

    def steps_until_full(self, now: int) -> int:
        """Return the number of steps until the next window is full."""
        filling = self._filling
        while filling and filling[0][2].ticket != filling[0][1]:
            heappop(filling)
        return filling[0][0] - now if filling else _NEVER
