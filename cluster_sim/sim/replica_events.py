"""What replicas and the router tell to those who listen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cluster_sim.request import Request


class PromptSource(Protocol):
    """What a listener sees of the replica that prefills a request."""

    number: int

    def release(self, request: Request) -> None:
        """Free the KV cache of a request, which has been sent away."""
        ...

    def give_up(self, request: Request) -> None:
        """Free the KV cache of a request that nobody can decode, and tell that it is lost."""
        ...


StepBegan = Callable[[PromptSource, Sequence[tuple[Request, int]], float], None]


class ReplicaEvents:
    """What happens at a replica. Listeners override the methods they care about."""

    def became_busy(self) -> None:
        """Note that the replica had no requests and got one."""

    def finished(self, request: Request) -> None:
        """Note that the replica has made the last token of a request."""

    def devices_lost(self, number: int) -> None:
        """Note that the replica with this number has lost its devices, before `lost` is told."""

    def lost(self, request: Request, number: int) -> None:
        """Note that the replica with this number has lost a request, and its KV cache."""

    def step_began(
        self, source: PromptSource, chunks: Sequence[tuple[Request, int]], step_s: float
    ) -> None:
        """Note that a replica has begun a step that prefills these tokens of these requests."""

    def prefilled(self, request: Request, source: PromptSource) -> None:
        """Note that a replica has prefilled a request which another one is to decode."""

    def capacity_freed(self) -> None:
        """Note that the replica may be able to take more requests than before."""


_EVENTS = (
    "became_busy",
    "finished",
    "devices_lost",
    "lost",
    "step_began",
    "prefilled",
    "capacity_freed",
)


class Listeners:
    """Those who listen to one replica, event by event.

    NOTE: only listeners that override an event are kept for it: 0.05 us per request and listener.
    """

    __slots__ = _EVENTS

    def __init__(self) -> None:
        self.became_busy: list[Callable[[], None]] = []
        self.finished: list[Callable[[Request], None]] = []
        self.devices_lost: list[Callable[[int], None]] = []
        self.lost: list[Callable[[Request, int], None]] = []
        self.step_began: list[StepBegan] = []
        self.prefilled: list[Callable[[Request, PromptSource], None]] = []
        self.capacity_freed: list[Callable[[], None]] = []

    def add(self, listener: ReplicaEvents) -> None:
        """Tell `listener` from now on of the events that it overrides."""
        for event in _EVENTS:
            if getattr(type(listener), event) is not getattr(ReplicaEvents, event):
                getattr(self, event).append(getattr(listener, event))


class RouterEvents:
    """What happens at the router. Listeners override the methods they care about."""

    def refused(self, request: Request) -> None:
        """Note that nobody will answer a request: it was rejected, or has failed."""
