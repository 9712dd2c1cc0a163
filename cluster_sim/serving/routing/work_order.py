"""Order of open replicas by their pending tokens, which fall while steps end."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from math import inf

from cluster_sim.serving.load import Load

_SMALL = 64


class WorkOrder:
    """Open replicas by pending tokens; equal ones by number.

    Pending tokens fall at every end of a step, and no event says so. Each replica therefore has a
    lower bound, and the time until which the bound certainly holds. The bound is three quarters of
    the way down to the lowest replica, so replicas with much work are rarely looked at. The replica
    with the lowest bound is compared with its load; if the bound is the load, no other replica has
    less. This is a kinetic priority queue (Basch, Guibas, Hershberger, Data Structures for Mobile
    Data, J. Algorithms 31(1), 1999) with certificates for bounds instead of comparisons.
    """

    __slots__ = ("_bounds", "_changed", "_expiries", "_heap", "_loads", "_lowest", "_until_s")

    def __init__(self) -> None:
        self._loads: dict[int, Load] = {}
        self._bounds: dict[int, int] = {}
        self._until_s: dict[int, float] = {}
        self._heap: list[tuple[int, int]] = []  # (bound, number); void if it is not the last bound
        self._expiries: list[tuple[float, int]] = []  # (time [s], number); void likewise
        self._changed: set[int] = set()
        self._lowest = 0  # pending tokens of the last replica that was first

    def renew(self, loads: Iterable[Load]) -> None:
        """Replace all replicas."""
        self._loads = {load.number: load for load in loads}
        self._bounds, self._until_s, self._heap, self._expiries = {}, {}, [], []
        self._changed = set(self._loads)

    def add(self, load: Load) -> None:
        """Add a replica."""
        self._loads[load.number] = load
        self._changed.add(load.number)

    def remove(self, number: int) -> None:
        """Remove a replica if it is here."""
        self._loads.pop(number, None)
        self._bounds.pop(number, None)
        self._until_s.pop(number, None)
        self._changed.discard(number)

    def changed(self, number: int) -> None:
        """Record that the pending tokens of a replica fall, or fall faster."""
        if number in self._loads:
            self._changed.add(number)

    def first(self, now_s: float) -> int:
        """Return the number of the replica with the fewest pending tokens at the time `now_s`."""
        self._renew_bounds(now_s)
        heap, bounds, loads = self._heap, self._bounds, self._loads
        while True:
            bound, number = heap[0]
            if bounds.get(number) != bound:
                heappop(heap)
                continue
            tokens = loads[number].pending_tokens
            if tokens == bound:
                self._lowest = tokens
                return number
            heapreplace(heap, (tokens, number))
            self._hold(number, tokens)

    def _renew_bounds(self, now_s: float) -> None:
        """Renew the bounds that changed loads or the time have made invalid."""
        expiries, until_s, due = self._expiries, self._until_s, self._changed
        while expiries and expiries[0][0] <= now_s:
            time_s, number = heappop(expiries)
            if until_s.get(number) == time_s:
                due.add(number)
        if not due:
            return
        heap, loads, lowest = self._heap, self._loads, self._lowest
        for number in due:
            bound = loads[number].pending_tokens
            if bound > lowest:
                bound -= (bound - lowest) * 3 // 4
            heappush(heap, (bound, number))
            self._hold(number, bound)
        due.clear()
        if len(heap) > 4 * len(loads) + _SMALL:
            self._heap = [(bound, number) for number, bound in self._bounds.items()]
            heapify(self._heap)
        if len(expiries) > 4 * len(loads) + _SMALL:
            self._expiries = [(at_s, number) for number, at_s in until_s.items() if at_s < inf]
            heapify(self._expiries)

    def _hold(self, number: int, bound: int) -> None:
        """Hold a bound of a replica until its pending tokens fall below it."""
        self._bounds[number] = bound
        until_s = self._until_s[number] = self._loads[number].falls_below_s(bound)
        if until_s < inf:
            heappush(self._expiries, (until_s, number))
