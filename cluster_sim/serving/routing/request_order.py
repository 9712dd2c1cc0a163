"""Order of open replicas by their number of requests, kept in a heap."""

from __future__ import annotations

from collections.abc import Container, Iterable
from heapq import heapify, heappop, heappush, heapreplace

from cluster_sim.serving.load import Load

_SMALL = 64


class RequestOrder:
    """Open replicas by number of requests; equal ones by number of the replica.

    Each replica has an entry whose key is at most its present key. The entry at the top is compared
    with the load and moved down if the load has grown. Growth thus needs no notice; `changed` gives
    notice of the opposite. An entry is void if it is not the last one of its replica. The cost of a
    choice grows with the logarithm of the number of replicas.

    Parameters
    ----------
    descending
        Whether the replica with the most requests is the first. `changed` then gives notice of growth.
    """

    __slots__ = ("_heap", "_keys", "_loads", "_sign")

    def __init__(self, *, descending: bool = False) -> None:
        self._sign = -1 if descending else 1
        self._loads: dict[int, Load] = {}
        self._keys: dict[int, int] = {}  # key of the valid entry of each replica
        self._heap: list[tuple[int, int]] = []  # (key, number)

    def renew(self, loads: Iterable[Load]) -> None:
        """Replace all replicas."""
        self._loads = {load.number: load for load in loads}
        self._rebuild()

    def add(self, load: Load) -> None:
        """Add a replica."""
        self._loads[load.number] = load
        self._push(load.number, self._sign * load.requests)

    def remove(self, number: int) -> None:
        """Remove a replica if it is here."""
        self._loads.pop(number, None)
        self._keys.pop(number, None)

    def changed(self, number: int) -> None:
        """Record that the key of a replica may have fallen."""
        known = self._keys.get(number)
        if known is not None and (key := self._sign * self._loads[number].requests) < known:
            self._push(number, key)

    def first(self, now_s: float = 0.0) -> int:
        """Return the number of the first replica at present."""
        return self._top()[1]

    def first_requests(self) -> int:
        """Return the number of requests of the first replica."""
        return self._sign * self._top()[0]

    def first_of(self, numbers: Container[int], limit: int) -> int | None:
        """Return the first replica that is in `numbers`; None if it is not among the first `limit`.

        Parameters
        ----------
        numbers
            Numbers of replicas.
        limit
            Maximum number of entries that are examined.
        """
        heap, found = self._heap, None
        passed: list[tuple[int, int]] = []
        while heap and len(passed) < limit:
            number = self._top()[1]
            if number in numbers:
                found = number
                break
            passed.append(heappop(heap))
        for entry in passed:
            heappush(heap, entry)
        return found

    def _top(self) -> tuple[int, int]:
        heap, keys, loads, sign = self._heap, self._keys, self._loads, self._sign
        while True:
            entry = key, number = heap[0]
            if keys.get(number) != key:
                heappop(heap)
                continue
            present = sign * loads[number].requests
            if present == key:
                return entry
            keys[number] = present
            heapreplace(heap, (present, number))

    def _push(self, number: int, key: int) -> None:
        self._keys[number] = key
        heappush(self._heap, (key, number))
        if len(self._heap) > 4 * len(self._keys) + _SMALL:
            self._rebuild()

    def _rebuild(self) -> None:
        self._keys = {number: self._sign * load.requests for number, load in self._loads.items()}
        self._heap = [(key, number) for number, key in self._keys.items()]
        heapify(self._heap)
