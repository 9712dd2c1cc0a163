"""Replicas in the fabric: memories and links that transfers cross, and the shares they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from cluster_sim.physics.max_min_fairness import Flow, Resource, Sharing, fair_share
from cluster_sim.physics.memory_sharing import bandwidth_kept
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.transfer import Channel

_PARTS = 64
"""Number of equal parts of 1 to which shares are rounded. Replicas then run at few operating
points, whose step times are cached."""


class Tenant(Protocol):
    """Interface of a replica to the fabric."""

    number: int

    @property
    def is_running(self) -> bool:
        """Whether a step is in progress."""
        ...

    def share_memory(self, on_turn: Callable[[bool], None] | None) -> None:
        """Call `on_turn` before each stretch with whether there are steps to run; None to stop."""
        ...

    def set_shares(self, memory: float, links: float, rails: float) -> None:
        """Set the shares of bandwidth that other traffic leaves.

        They are those of the memory, of links inside nodes, and of links between the nodes of a
        group.
        """
        ...


class Links(NamedTuple):
    """Links of a replica's first device that its collectives cross, one per direction."""

    inside: tuple[Resource, ...] = ()
    """Links to other devices of the node."""
    rails: tuple[tuple[Resource, int], ...] = ()
    """Links towards other nodes of the group, each with the number of devices of the node that
    share it."""


NO_LINKS = Links()
"""Links of a replica with a single device."""


class Home:
    """Replica with the memory and links of its first device, which represent all devices."""

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
        links: Links,
        *,
        is_narrow: bool,
    ) -> None:
        self.tenant, self.memory, self.bus, self.links = tenant, memory, bus, links
        self.is_narrow = is_narrow
        """Whether the memory can limit transfers."""
        self.engine = Flow({memory: 1})
        """Traffic of the engine's steps, with unlimited demand for memory bandwidth."""
        self.crossing = 0
        """Number of channels that cross the memory."""
        self.is_running = False
        """Whether steps run; the fabric knows this only while other traffic uses the memory."""

    @property
    def is_shared_out(self) -> bool:
        """Whether the engine takes part in the sharing of the memory bandwidth."""
        return self.is_running and self.is_narrow

    def enter(self, on_turn: Callable[[bool], None]) -> bool:
        """Record that a channel begins to cross the memory.

        Returns whether the engine begins to take part in the sharing.
        """
        self.crossing += 1
        if self.crossing > 1:
            return False
        self.is_running = self.tenant.is_running
        self.tenant.share_memory(on_turn)
        return self.is_shared_out

    def leave(self) -> bool:
        """Record that a channel ceases to cross the memory.

        Returns whether the engine ceases to take part in the sharing.
        """
        self.crossing -= 1
        if self.crossing:
            return False
        self.tenant.share_memory(None)
        return self.is_shared_out

    def turn(self, *, is_running: bool) -> bool:
        """Record that steps begin or cease to run; return whether this changes the sharing."""
        if is_running == self.is_running:
            return False
        self.is_running = is_running
        return self.is_narrow

    def shares(
        self, sharing: Sharing, capacity: Callable[[Resource, int], float]
    ) -> tuple[float, float, float]:
        """Return the shares of bandwidth that transfers leave to the replica.

        They are those of its memory, of links inside nodes, and of links between nodes.
        """
        if not self.crossing:
            return 1.0, 1.0, 1.0
        rates, writing = _transfers_on(self.memory, sharing)
        engine = (
            self.engine.rate
            if self.is_shared_out
            else fair_share(rates, capacity(self.memory, len(rates) + 1))
        )
        written = writing / max(sum(rates) + engine, 1.0)
        memory = engine / self.bus.bytes_per_s * bandwidth_kept(0.0, self.bus.mix_loss, 1, written)
        inside = [(link, 1) for link in self.links.inside]
        links, rails = (
            min((_left(link, devices, sharing, capacity) for link, devices in group), default=1.0)
            for group in (inside, self.links.rails)
        )
        return _rounded(memory), _rounded(links), _rounded(rails)


def _left(
    link: Resource, devices: int, sharing: Sharing, capacity: Callable[[Resource, int], float]
) -> float:
    """Return the share of a link that transfers leave to the collectives of some devices."""
    rates, _ = _transfers_on(link, sharing)
    if not rates:
        return 1.0
    of_link = capacity(link, 1)
    return devices * fair_share(rates, of_link, devices) / of_link


def _transfers_on(resource: Resource, sharing: Sharing) -> tuple[list[float], float]:
    """Return the rates of transfers on a resource, and their total rate of writes to it [B/s]."""
    rates, writing = [], 0.0
    for flow, times in sharing.flows_on(resource).items():
        if isinstance(flow, Channel):
            rates.append(times * flow.rate)
            if flow.paths.ends[1] == resource:
                writing += times * flow.rate
    return rates, writing


def _rounded(share: float) -> float:
    return max(round(share * _PARTS), 1) / _PARTS
