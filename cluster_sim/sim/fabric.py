"""Fabric: transfers in progress, and the replicas whose memories and links they cross.

The fabric is one process, with one event for the next change.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from math import inf
from typing import Any

from simpy import Environment, Event

from cluster_sim.physics.max_min_fairness import Resource, Sharing, fair_share
from cluster_sim.physics.unshared import Unshared
from cluster_sim.results.contention import TransferRow
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.agenda import Agenda
from cluster_sim.sim.alarm import Alarm
from cluster_sim.sim.channels import OwnChannels, SharedChannels
from cluster_sim.sim.full_links import FullLinks
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.replica_events import ReplicaEvents
from cluster_sim.sim.tenants import NO_LINKS, Home, Links, Tenant
from cluster_sim.sim.transfer import Channel, Parties, Transfer
from cluster_sim.topology import ParallelPaths

_MANY = 64  # maximum number of streams that share a memory


class Fabric(ReplicaEvents):
    """Fabric on which transfers share memories and links max-min fairly.

    Rates are computed again when a transfer begins, ends, or waits for bytes to become available;
    only affected rates are computed. The traffic of a replica's engine takes part only while a
    transfer crosses the replica's memory: the running engine then gets a fair share of the memory
    bandwidth, transfers get the rest, and the replica is informed of the shares that they leave.

    Parameters
    ----------
    env
        Environment of the simulation.
    capacity
        Function that returns the bandwidth of a link [B/s].
    buses
        Memories that transfers cross.
    recorder
        Recorder of the run.
    is_shared
        Whether traffic shares links and memories. Otherwise each transfer and each engine has them
        to itself.
    """

    def __init__(
        self,
        env: Environment,
        capacity: Callable[[Resource], float],
        buses: Mapping[Resource, MemoryBus],
        recorder: Recorder,
        *,
        is_shared: bool = True,
    ) -> None:
        self._env, self._recorder, self._buses = env, recorder, buses
        self._link_capacity = capacity
        self._capacities: dict[tuple[Resource, int], float] = {}
        self._kept: dict[Resource, float] = {}
        """Share of the bandwidth that each degraded link keeps; whole links are absent."""
        self._sharing = (Sharing if is_shared else Unshared)(self._capacity)
        self._homes: dict[Resource, Home] = {}
        self._alarm = Alarm(env)
        self._is_awake = True
        self._channels = (SharedChannels if is_shared else OwnChannels)(self._alone)
        self._agenda = Agenda()
        self._stirred: dict[Channel, None] = {}
        self._to_tell: dict[Home, None] = {}
        self._full = FullLinks(env, recorder, buses)
        env.process(self._run())

    def join(
        self, tenant: Tenant, memory: Resource, links: Links = NO_LINKS, brought: float = inf
    ) -> None:
        """Add a replica to the fabric.

        Parameters
        ----------
        memory
            Memory of the replica's first device.
            links
            Links that the replica's collectives cross.
            brought
            Bandwidth of all links of that device together [B/s]. If it is at most half of the
            memory bandwidth, the memory never limits transfers: the engine gets the bandwidth that
            they leave, and does not take part in the sharing.
        """
        bus = self._buses[memory]
        is_narrow = brought > 0.5 * bus.capacity(_MANY)
        home = Home(tenant, memory, bus, links, is_narrow=is_narrow)
        for resource in (memory, *links.inside):
            self._homes[resource] = home
        for resource, _ in links.rails:  # one of the devices that share it stands for all
            self._homes.setdefault(resource, home)

    def begin(
        self, kind: str, paths: ParallelPaths, parties: Parties, on_sent: Callable[[], None]
    ) -> Transfer:
        """Begin a transfer; `supply` reports its available bytes later.

        `on_sent` is called when the last byte has been sent.
        """
        return Transfer(self._channels.of(kind, paths), parties, on_sent, self._env.now)

    def alone_bytes_per_s(self, paths: ParallelPaths) -> float:
        """Return the bandwidth of paths without other traffic, with whole links [B/s]."""
        return self._channels.alone_bytes_per_s(paths)

    def share(self, paths: ParallelPaths) -> float:
        """Return the approximate share of its undisturbed rate that a transfer here would get."""
        level = inf
        for resource, used in paths.uses.items():
            rates = [
                flow.rate
                for flow, others in self._sharing.flows_on(resource).items()
                for _ in range(others)
            ]
            level = min(level, fair_share(rates, self._capacity(resource, 1), used))
        return min(level * paths.count / self._channels.alone_bytes_per_s(paths), 1.0)

    def supply(
        self, transfer: Transfer, total: float, arriving: float = 0.0, *, is_whole: bool = True
    ) -> None:
        """Record the available bytes of a transfer.

        Parameters
        ----------
        transfer
            Transfer in progress.
        total
            Number of bytes that are available [B].
        arriving
            Rate at which further bytes become available [B/s].
        is_whole
            Whether all bytes of the transfer are available.
        """
        channel = transfer.channel
        channel.settle(self._env.now, channel.rate)
        channel.supply(transfer, total, arriving, is_whole=is_whole)
        if channel.is_behind:  # the event planned for this moment did not include these bytes
            self._agenda.plan(channel, inf)
        self._want(channel)
        self._call()

    def _alone(self, paths: ParallelPaths) -> float:
        """Return the bandwidth of paths without other traffic, with whole links [B/s]."""
        return paths.count * min(
            self._capacity(resource, 1) / self._kept.get(resource, 1.0) / used
            for resource, used in paths.uses.items()
        )

    def devices_lost(self, number: int) -> None:
        """End all transfers from and to a replica; their bytes do not arrive."""
        for channel in self._channels:
            if any(home.tenant.number == number for home in self._ends(channel)):
                self._cut(channel)

    def links_lost(self, is_cut: Callable[[ParallelPaths], bool]) -> None:
        """End all transfers over paths that `is_cut`; their bytes do not arrive."""
        for channel in self._channels:
            if is_cut(channel.paths):
                self._cut(channel)

    def _cut(self, channel: Channel) -> None:
        channel.settle(self._env.now, channel.rate)
        self._recorder.cut(channel.kind, channel.paths, channel.cut(), self._env.now)
        self._channels.ended(channel)
        self._agenda.plan(channel, inf)
        self._want(channel)
        self._call()

    def keep_share(self, resource: Resource, share: float) -> None:
        """Let a link keep a share of its bandwidth from now on; 1 for a whole link."""
        if share < 1.0:
            self._kept[resource] = share
        else:
            self._kept.pop(resource, None)
        for known in [known for known in self._capacities if known[0] == resource]:
            del self._capacities[known]
        self._sharing.capacity_changed(resource)
        if (home := self._homes.get(resource)) is not None:
            self._to_tell[home] = None
        self._call()

    def stop(self) -> None:
        """End the run: record saturated links, and the bytes of transfers that are under way."""
        self._full.stop()
        for channel in self._channels:
            self._cut(channel)

    def _capacity(self, resource: Resource, flows: int) -> float:
        known = self._capacities.get((resource, flows))
        if known is None:
            bus = self._buses.get(resource)
            known = self._capacities[resource, flows] = (
                self._link_capacity(resource) * self._kept.get(resource, 1.0)
                if bus is None
                else bus.capacity(flows)
            )
        return known

    def _want(self, channel: Channel) -> None:
        """Include a channel in the sharing while it has bytes to move.

        Its demand is unlimited, or the rate at which bytes become available.
        """
        wanted = inf if channel.is_behind else channel.arriving / channel.paths.count
        self._stirred[channel] = None
        if wanted and not channel.is_sharing:
            channel.join(wanted)
            self._sharing.add(channel)
            self._cross(channel, 1)
        elif wanted:
            self._sharing.set_limit(channel, wanted)
        elif channel.is_sharing:
            self._sharing.remove(channel)
            channel.leave()
            self._cross(channel, -1)

    def _cross(self, channel: Channel, more: int) -> None:
        """Record that a channel begins or ceases to use the memories of replicas."""
        for home in self._ends(channel):
            self._to_tell[home] = None
            if more > 0 and home.enter(partial(self._turn, home)):
                self._sharing.add(home.engine)
            elif more < 0 and home.leave():
                self._sharing.remove(home.engine)

    def _ends(self, channel: Channel) -> Iterable[Home]:
        """Return the distinct replicas at the ends of a channel."""
        homes = (self._homes.get(end) for end in channel.paths.ends)
        return dict.fromkeys(home for home in homes if home is not None)

    def _turn(self, home: Home, is_running: bool) -> None:  # noqa: FBT001 - a callback
        """Record that a replica with a shared memory begins or ceases to run steps."""
        if home.turn(is_running=is_running):
            (self._sharing.add if is_running else self._sharing.remove)(home.engine)
            self._to_tell[home] = None
            self._call()

    def _call(self) -> None:
        """Compute rates again after all events of this moment."""
        if not self._is_awake:
            self._is_awake = True
            self._alarm.sooner(0.0)

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            ahead_s = self._foresee_s()
            self._is_awake = False
            yield self._alarm.after(ahead_s) if ahead_s < inf else self._alarm.when_called()
            self._is_awake = True
            self._settle()

    def _foresee_s(self) -> float:
        """Compute the rates again; return the time for which they hold [s]."""
        now_s = self._env.now
        for flow, before in self._sharing.rebalance():
            if isinstance(flow, Channel):
                flow.settle(now_s, before)
                self._stirred[flow] = None
            for resource, _ in flow.uses:
                if (home := self._homes.get(resource)) is not None:
                    self._to_tell[home] = None
        for channel in self._stirred:
            self._agenda.plan(channel, now_s + channel.ahead_s())
        self._stirred.clear()
        for resource in self._sharing.turned:
            is_full = self._sharing.is_full(resource)
            (self._full.note_full if is_full else self._full.note_room)(resource)
        self._sharing.turned.clear()
        for home in self._to_tell:
            home.tenant.set_shares(*home.shares(self._sharing, self._capacity))
        self._to_tell.clear()
        return max(self._agenda.next_s() - now_s, 0.0)

    def _settle(self) -> None:
        """End transfers whose bytes have all been moved.

        A channel that has moved all available bytes continues at the rate at which bytes become
        available.
        """
        now_s = self._env.now
        for channel in self._agenda.due(now_s):
            channel.settle(now_s, channel.rate)
            for transfer in channel.arrive():
                self._end(transfer)
            self._want(channel)

    def _end(self, transfer: Transfer) -> None:
        alone_s, channel = transfer.alone_ends_s - transfer.began_s, transfer.channel
        self._recorder.moved(
            channel.paths,
            TransferRow(
                channel.kind,
                *transfer.parties,
                transfer.supplied,
                transfer.began_s,
                self._env.now,
                alone_s,
            ),
        )
        self._channels.ended(channel)
        transfer.on_sent()
