"""Interface of a replica to the router and to the front end of its server."""

from __future__ import annotations

from typing import Protocol

from simpy import Event

from cluster_sim.request import Request
from cluster_sim.serving.routing import Load


class Entry(Load, Protocol):
    """Interface of a replica to the router."""

    longest: int
    is_open: bool

    def holds(self, request: Request) -> bool:
        """Return whether the request can ever be served here, given the available replicas."""
        ...

    def would_hold(self, request: Request) -> bool:
        """Return whether the request could be served here if no devices were lost."""
        ...

    def expect(self, request: Request) -> None:
        """Expect a request that the router has sent here; the network delivers it later."""
        ...

    def receive(self, delivery: Event) -> None:
        """Accept the request in `delivery`."""
        ...
