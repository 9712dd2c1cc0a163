"""When something will happen to channels, if nothing else does before."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from math import inf

from cluster_sim.sim.transfer import Channel

_NOW = 1 + 1e-15  # an event comes at its time but for a rounding


class Agenda:
    """The next time of each channel; a plan that was changed stays in the heap and is skipped."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Channel]] = []
        self._tickets = count()
        self._valid: dict[Channel, int] = {}
        """Ticket of the plan that holds, by channel."""

    def plan(self, channel: Channel, at_s: float) -> None:
        """Let something happen to a channel at a time, in place of what was planned; inf: never."""
        self._valid.pop(channel, None)
        if at_s < inf:
            ticket = self._valid[channel] = next(self._tickets)
            heappush(self._heap, (at_s, ticket, channel))

    def next_s(self) -> float:
        """Return the time of what comes next [s]; inf where nothing does."""
        heap = self._heap
        while heap and self._valid.get(heap[0][2]) != heap[0][1]:
            heappop(heap)
        return heap[0][0] if heap else inf

    def due(self, now_s: float) -> Iterator[Channel]:
        """Yield the channels to which something happens now."""
        heap = self._heap
        while heap and heap[0][0] <= now_s * _NOW:
            _, ticket, channel = heappop(heap)
            if self._valid.get(channel) == ticket:
                yield channel
