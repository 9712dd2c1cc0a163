"""Replicas as the fabric sees them: whose memory and links transfers cross, and what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cluster_sim.physics.max_min_fairness import Flow, Resource, Sharing, fair_share
from cluster_sim.physics.memory_sharing import bandwidth_kept
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.transfer import Channel

_PARTS = 64
"""Parts of one that shares are rounded to, so that replicas run at few operating points: the step
times there are kept, and found again."""


class Tenant(Protocol):
    """What the fabric sees of a replica."""

    number: int

    @property
    def is_running(self) -> bool:
        """Whether a step is under way."""
        ...

    def share_memory(self, on_turn: Callable[[bool], None] | None) -> None:
        """Tell `on_turn` before each stretch whether there is anything to run; None: no more."""
        ...

    def set_shares(self, memory: float, links: float) -> None:
        """Set what others leave of the bandwidth of its memories and links."""
        ...


class Home:
    """A replica, with the memory and links of its first device, which stand for the others'."""

    __slots__ = (
        "bus",
        "crossing",
        "engine",
        "is_narrow",
        "is_running",
        "links",
        "memory",
        "tenant",
    )

    def __init__(
        self,
        tenant: Tenant,
        memory: Resource,
        bus: MemoryBus,
        links: tuple[Resource, ...],
        *,
        is_narrow: bool,
    ) -> None:
        self.tenant, self.memory, self.bus, self.links = tenant, memory, bus, links
        self.is_narrow = is_narrow
        """Whether transfers could take so much that the memory holds them back."""
        self.engine = Flow({memory: 1})
        """Traffic of the steps, which takes all of the memory's bandwidth that it can get."""
        self.crossing = 0
        """Number of channels that cross the memory."""
        self.is_running = False
        """Whether steps run, as far as the fabric knows: while others use the memory."""

    @property
    def is_shared_out(self) -> bool:
        """Whether the engine takes part in the sharing of the memory."""
        return self.is_running and self.is_narrow

    def enter(self, on_turn: Callable[[bool], None]) -> bool:
        """Note that a channel begins to cross the memory.

        Returns whether the engine begins to take part in the sharing.
        """
        self.crossing += 1
        if self.crossing > 1:
            return False
        self.is_running = self.tenant.is_running
        self.tenant.share_memory(on_turn)
        return self.is_shared_out

    def leave(self) -> bool:
        """Note that a channel ceases to cross the memory.

        Returns whether the engine ceases to take part in the sharing.
        """
        self.crossing -= 1
        if self.crossing:
            return False
        self.tenant.share_memory(None)
        return self.is_shared_out

    def turn(self, *, is_running: bool) -> bool:
        """Note that steps begin or cease to run; return whether that changes the sharing."""
        if is_running == self.is_running:
            return False
        self.is_running = is_running
        return self.is_narrow

    def shares(
        self, sharing: Sharing, capacity: Callable[[Resource, int], float]
    ) -> tuple[float, float]:
        """Return the shares of memory and links that transfers leave to the replica."""
        if not self.crossing:
            return 1.0, 1.0
        rates, writing = _transfers_on(self.memory, sharing)
        engine = (
            self.engine.rate
            if self.is_shared_out
            else fair_share(rates, capacity(self.memory, len(rates) + 1))
        )
        written = writing / max(sum(rates) + engine, 1.0)
        memory = engine / self.bus.bytes_per_s * bandwidth_kept(0.0, self.bus.mix_loss, 1, written)
        links = 1.0
        for link in self.links:
            rates, _ = _transfers_on(link, sharing)
            if rates:
                of_link = capacity(link, 1)
                links = min(links, fair_share(rates, of_link) / of_link)
        return _rounded(memory), _rounded(links)


def _transfers_on(resource: Resource, sharing: Sharing) -> tuple[list[float], float]:
    """Return the rates of the transfers on a resource, and what they write to it together."""
    rates, writing = [], 0.0
    for flow, times in sharing.flows_on(resource).items():
        if isinstance(flow, Channel):
            rates.append(times * flow.rate)
            if flow.paths.ends[1] == resource:
                writing += times * flow.rate
    return rates, writing


def _rounded(share: float) -> float:
    return max(round(share * _PARTS), 1) / _PARTS
