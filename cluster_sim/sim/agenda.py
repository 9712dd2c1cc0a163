"""Agenda: times of the next event of each channel."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from math import inf

from cluster_sim.sim.transfer import Channel

_NOW = 1 + 1e-15  # tolerance, since an event occurs at its time up to rounding


class Agenda:
    """Time of the next event per channel; a replaced plan stays in the heap and is skipped."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Channel]] = []
        self._tickets = count()
        self._valid: dict[Channel, int] = {}
        """Ticket of the valid plan, by channel."""

    def plan(self, channel: Channel, at_s: float) -> None:
        """Plan the next event of a channel, in place of its earlier plan.

        Parameters
        ----------
        channel
            Channel.
        at_s
            Time of the event [s]; inf for no event.
        """
        self._valid.pop(channel, None)
        if at_s < inf:
            ticket = self._valid[channel] = next(self._tickets)
            heappush(self._heap, (at_s, ticket, channel))

    def next_s(self) -> float:
        """Return the time of the next event [s]; inf if there is none."""
        heap = self._heap
        while heap and self._valid.get(heap[0][2]) != heap[0][1]:
            heappop(heap)
        return heap[0][0] if heap else inf

    def due(self, now_s: float) -> Iterator[Channel]:
        """Yield the channels whose event is due now."""
        heap = self._heap
        while heap and heap[0][0] <= now_s * _NOW:
            _, ticket, channel = heappop(heap)
            if self._valid.get(channel) == ticket:
                yield channel
