"""LongestSequence: length of the longest decoding sequence of a replica."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.request import Request


class LongestSequence:
    """Lengths of decoding sequences, all of which grow by one token per step.

    The order of the lengths never changes, so a heap of offsets from the step clock keeps it. As in
    StepClock, an entry with an old ticket is void.
    """

    __slots__ = ("_offsets",)

    def __init__(self) -> None:
        self._offsets: list[tuple[int, int, Request]] = []  # heap of (-offset, ticket, request)

    def join(self, request: Request) -> None:
        """Add a request, which has its ticket and offset already."""
        heappush(self._offsets, (-request.offset, request.ticket, request))

    def tokens(self, now: int) -> int:
        """Return the tokens in the cache of the longest sequence at step `now`; 0 if there is none."""
        offsets = self._offsets
        while offsets and offsets[0][2].ticket != offsets[0][1]:
            heappop(offsets)
        return now - offsets[0][0] if offsets else 0
