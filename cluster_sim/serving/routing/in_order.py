"""Policies that choose the first of all replicas in some order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import Scan, index_of


class Order(Protocol):
    """Open replicas in the order of a figure of their loads."""

    def renew(self, loads: Iterable[Load]) -> None:
        """Replace all replicas."""
        ...

    def add(self, load: Load) -> None:
        """Add a replica."""
        ...

    def remove(self, number: int) -> None:
        """Remove a replica if it is here."""
        ...

    def changed(self, number: int) -> None:
        """Record that the load of a replica may be lower, or may fall faster."""
        ...

    def first(self, now_s: float) -> int:
        """Return the number of the first replica at the time `now_s`."""
        ...


class InOrder(Scan):
    """Policy that chooses the first of all open replicas in an order.

    Parameters
    ----------
    choose
        Function that makes the same choice among any replicas by looking at all of them.
    order
        Order of the open replicas.
    """

    follows_loads = True

    def __init__(self, choose: Callable[[Request, Sequence[Load]], int], order: Order) -> None:
        super().__init__(choose)
        self._order = order

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int:
        """Return the index of the replica for a request among all open replicas."""
        return index_of(self._order.first(now_s), loads)

    def opened(self, load: Load) -> None:
        """Add a replica to the order."""
        self._order.add(load)

    def closed(self, load: Load) -> None:
        """Remove a replica from the order."""
        self._order.remove(load.number)

    def changed(self, number: int) -> None:
        """Record that the load of a replica may be lower, or may fall faster."""
        self._order.changed(number)

    def renew(self, loads: Sequence[Load]) -> None:
        """Replace the loads of all open replicas by newer reports."""
        self._order.renew(loads)
