"""RequestQueue: order of admission, and of preemption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Protocol

from cluster_sim.request import Request


class RequestQueue(Protocol):
    """Waiting requests in order of admission; the queue also chooses the request to preempt.

    A new order is a file in `queue_orders` and a name in its table.
    """

    def __len__(self) -> int:
        """Return the number of waiting requests."""
        ...

    def __iter__(self) -> Iterator[Request]:
        """Yield the waiting requests in any order."""
        ...

    @property
    def first(self) -> Request:
        """Request that is admitted next; the queue must not be empty."""
        ...

    def append(self, request: Request) -> None:
        """Add a request that has just arrived."""
        ...

    def put_back(self, request: Request) -> None:
        """Add a request that was preempted."""
        ...

    def pop_first(self) -> Request:
        """Remove and return the request that is admitted next; it runs from now on."""
        ...

    def discard(self, request: Request) -> bool:
        """Remove a request wherever it waits; return whether it waited here."""
        ...

    def passed_by(self, request: Request) -> None:
        """Record that a request that has not waited runs from now on."""
        ...

    def victim(self, running: dict[Request, None]) -> Request:
        """Return the request to preempt first, given the running requests in order of admission."""
        ...


Key = Callable[[Request], tuple[float, ...]]
"""Sort key of a request, in ascending order. The key must not change while the request waits or
runs, and no two requests may have equal keys."""


class KeyedQueue:
    """Requests in ascending order of a key; the largest of the running keys is preempted first.

    A preempted request returns to its position by key.
    """

    __slots__ = ("_discarded", "_heap", "_key", "_running")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._heap: list[tuple[tuple[float, ...], Request]] = []  # the first entry is valid
        self._discarded: set[Request] = set()  # their entries in `_heap` are void
        # (negated key, preemptions, request); an entry is void if the request was preempted since
        self._running: list[tuple[tuple[float, ...], int, Request]] = []

    def __len__(self) -> int:
        return len(self._heap) - len(self._discarded)

    def __iter__(self) -> Iterator[Request]:
        return (request for _, request in self._heap if request not in self._discarded)

    @property
    def first(self) -> Request:
        """Waiting request with the smallest key."""
        return self._heap[0][1]

    def append(self, request: Request) -> None:
        """Add a request at its position by key."""
        heappush(self._heap, (self._key(request), request))

    put_back = append

    def pop_first(self) -> Request:
        """Remove and return the waiting request with the smallest key; it runs from now on."""
        _, request = heappop(self._heap)
        if self._discarded:
            self._drop_void()
        self.passed_by(request)
        return request

    def discard(self, request: Request) -> bool:
        """Remove a request wherever it waits; return whether it waited here.

        Its entry stays in the heap and is void, so that the heap is not built again.
        """
        if request in self._discarded or (self._key(request), request) not in self._heap:
            return False
        self._discarded.add(request)
        self._drop_void()
        return True

    def _drop_void(self) -> None:
        """Remove void entries from the front of the heap."""
        heap, discarded = self._heap, self._discarded
        while heap and heap[0][1] in discarded:
            discarded.remove(heappop(heap)[1])

    def passed_by(self, request: Request) -> None:
        """Record that a request that has not waited runs from now on."""
        key = tuple(-part for part in self._key(request))
        heappush(self._running, (key, request.preemptions, request))

    def victim(self, running: dict[Request, None]) -> Request:
        """Return the running request with the largest key."""
        heap = self._running
        while heap[0][2] not in running or heap[0][2].preemptions != heap[0][1]:
            heappop(heap)
        return heap[0][2]
