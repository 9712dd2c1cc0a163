"""Events of replicas and the router, and their listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cluster_sim.request import Request


class PromptSource(Protocol):
    """Interface of a prefill replica to the listeners of its requests."""

    number: int

    def release(self, request: Request) -> None:
        """Free the KV cache of a request after its transfer."""
        ...

    def cancel(self, request: Request) -> None:
        """Remove a request whose client has left."""
        ...

    def give_up(self, request: Request) -> None:
        """Free the KV cache of a request that no replica can decode; report the request as lost."""
        ...


StepBegan = Callable[[PromptSource, Sequence[tuple[Request, int]], float], None]


class ReplicaEvents:
    """Events of a replica. Listeners override the methods of the events that they need."""

    def became_busy(self) -> None:
        """Handle the arrival of a request at an idle replica."""

    def finished(self, request: Request) -> None:
        """Handle the last token of a request."""

    def load_changed(self, number: int) -> None:
        """Handle a load that may be lower, or may fall faster, at the replica with this number.

        It comes before the other events of the same moment.
        """

    def first_token(self, request: Request) -> None:
        """Handle the first token of a request."""

    def opened(self, number: int) -> None:
        """Handle that the replica with this number accepts new requests from now on."""

    def closed(self, number: int) -> None:
        """Handle that the replica with this number accepts no new requests from now on."""

    def emptied(self, number: int) -> None:
        """Handle the departure of the last request of a closed replica."""

    def devices_lost(self, number: int) -> None:
        """Handle the loss of the devices of a replica, after `closed` and before `lost`."""

    def lost(self, request: Request, number: int) -> None:
        """Handle the loss of a request and its KV cache at the replica with this number."""

    def step_began(
        self, source: PromptSource, chunks: Sequence[tuple[Request, int]], step_s: float
    ) -> None:
        """Handle the start of a step that prefills these tokens of these requests."""

    def prefilled(self, request: Request, source: PromptSource) -> None:
        """Handle the end of the prefill of a request that another replica decodes."""

    def capacity_freed(self, number: int) -> None:
        """Handle freed capacity: the replica with this number may be able to take more requests."""


_EVENTS = (
    "became_busy",
    "finished",
    "load_changed",
    "first_token",
    "opened",
    "closed",
    "emptied",
    "devices_lost",
    "lost",
    "step_began",
    "prefilled",
    "capacity_freed",
)


class Listeners:
    """Listeners of one replica, by event.

    NOTE: only listeners that override an event are kept for it: 0.05 us per request and listener.
    """

    __slots__ = _EVENTS

    def __init__(self) -> None:
        self.became_busy: list[Callable[[], None]] = []
        self.finished: list[Callable[[Request], None]] = []
        self.load_changed: list[Callable[[int], None]] = []
        self.first_token: list[Callable[[Request], None]] = []
        self.opened: list[Callable[[int], None]] = []
        self.closed: list[Callable[[int], None]] = []
        self.emptied: list[Callable[[int], None]] = []
        self.devices_lost: list[Callable[[int], None]] = []
        self.lost: list[Callable[[Request, int], None]] = []
        self.step_began: list[StepBegan] = []
        self.prefilled: list[Callable[[Request, PromptSource], None]] = []
        self.capacity_freed: list[Callable[[int], None]] = []

    def add(self, listener: ReplicaEvents) -> None:
        """Report the events that `listener` overrides to it from now on."""
        for event in _EVENTS:
            if getattr(type(listener), event) is not getattr(ReplicaEvents, event):
                getattr(self, event).append(getattr(listener, event))


class RouterEvents:
    """Events of the router. Listeners override the methods of the events that they need."""

    def refused(self, request: Request) -> None:
        """Handle a request that will not be answered: it was rejected, or has failed."""


class ClientEvents(RouterEvents):
    """Events of the clients' requests, to traffic that waits for answers."""

    def finished(self, request: Request) -> None:
        """Handle an answer, which reaches the client the latency of the network later."""

    def left(self, request: Request) -> None:
        """Handle the departure of a user in the middle of an answer."""
