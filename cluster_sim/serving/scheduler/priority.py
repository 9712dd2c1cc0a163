"""Waiting and running requests in the order of their priority, with as little of a deque's and a
dict's interface as a batch needs.
"""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.request import Request


class ByPriority:
    """Waiting requests: the lowest number first, of equals the one that arrived first, preempted or
    not.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, float, int, Request]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def __getitem__(self, place: int) -> Request:
        """The first one; no other place is asked for."""
        return self._heap[place][3]

    def append(self, request: Request) -> None:
        """Take its place among the others."""
        heappush(self._heap, (request.priority, request.arrival_s, request.number, request))

    appendleft = append

    def popleft(self) -> Request:
        """Take the first one out."""
        return heappop(self._heap)[3]


class Victims:
    """Running requests: the one to be preempted is the least urgent, of equals the one that arrived
    last.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, float, int, int, Request]] = []

    def add(self, request: Request) -> None:
        """A request was admitted."""
        heappush(
            self._heap,
            (-request.priority, -request.arrival_s, -request.number, request.preemptions, request),
        )

    def first(self, running: dict[Request, None]) -> Request:
        """The one of `running` to be preempted first; entries of those that have left since are
        dropped.
        """
        while self._heap[0][4] not in running or self._heap[0][4].preemptions != self._heap[0][3]:
            heappop(self._heap)
        return self._heap[0][4]
