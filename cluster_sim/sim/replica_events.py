"""What replicas and the router tell to those who listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster_sim.request import Request


class PromptSource(Protocol):
    """What a listener sees of the replica that prefills a request."""

    number: int

    def release(self, request: Request) -> None:
        """Free the KV cache of a request, which has been sent away."""
        ...


class ReplicaEvents:
    """What happens at a replica. Listeners override the methods they care about."""

    def became_busy(self) -> None:
        """Note that the replica had no requests and got one."""

    def finished(self, request: Request) -> None:
        """Note that the replica has made the last token of a request."""

    def lost(self, request: Request, *, can_restart: bool) -> None:
        """Note that the replica has lost its devices, and with them a request.

        can_restart: whether another replica can go on with the request from its prompt.
        """

    def step_began(
        self, source: PromptSource, chunks: Sequence[tuple[Request, int]], step_s: float
    ) -> None:
        """Note that a replica has begun a step that prefills these tokens of these requests."""

    def prefilled(self, request: Request, source: PromptSource) -> None:
        """Note that a replica has prefilled a request which another one is to decode."""

    def capacity_freed(self) -> None:
        """Note that the replica may be able to take more requests than before."""


class RouterEvents:
    """What happens at the router. Listeners override the methods they care about."""

    def refused(self, request: Request) -> None:
        """Note that nobody will answer a request: it was rejected, or has failed."""
