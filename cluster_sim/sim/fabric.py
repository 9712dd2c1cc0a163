"""The fabric: transfers under way, and the replicas whose memories and links they cross.

It is one process, with one event for what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, Protocol

from simpy import Environment, Event

from cluster_sim.physics.max_min_fairness import Flow, Resource, Sharing, fair_share
from cluster_sim.physics.memory_sharing import bandwidth_kept
from cluster_sim.results.contention import TransferRow
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.alarm import Alarm
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.transfer import Channel, Parties, Transfer
from cluster_sim.topology import ParallelPaths

_PARTS = 64
"""Parts of one that shares are rounded to, so that replicas run at few operating points: the step
times there are kept, and found again."""

_MANY = 64  # streams: more are not held to share a memory
_NOW = 1 + 1e-15  # an event comes at its time but for a rounding


class Tenant(Protocol):
    """What the fabric sees of a replica."""

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


class _Home:
    """A replica, with the memory and links of its first device, which stand for the others'."""

    __slots__ = ("crossing", "engine", "is_narrow", "is_running", "links", "memory", "tenant")

    def __init__(
        self, tenant: Tenant, memory: Resource, links: tuple[Resource, ...], *, is_narrow: bool
    ) -> None:
        self.tenant, self.memory, self.links = tenant, memory, links
        self.is_narrow = is_narrow
        """Whether transfers could take so much that the memory holds them back."""
        self.engine = Flow({memory: 1})
        """Traffic of the steps, which takes all of the memory's bandwidth that it can get."""
        self.crossing = 0
        """Number of channels that cross the memory."""
        self.is_running = False


class Fabric:
    """Moves bytes over paths, on which everything is shared max-min fairly.

    Rates are worked out again when a transfer begins, ends, or waits for bytes to become available,
    and then only those that this reaches. Replicas are no transfers: one whose memory nobody else
    uses is not looked at. While somebody does, its engine has a fair part of that memory for as
    long as it runs, transfers have the rest, and the replica is told what they leave.
    """

    def __init__(
        self,
        env: Environment,
        capacity: Callable[[Resource], float],
        buses: Mapping[Resource, MemoryBus],
        recorder: Recorder,
    ) -> None:
        self._env, self._recorder, self._buses = env, recorder, buses
        self._link_capacity = capacity
        self._capacities: dict[tuple[Resource, int], float] = {}
        self._sharing = Sharing(self._capacity)
        self._homes: dict[Resource, _Home] = {}
        self._alarm = Alarm(env)
        self._is_awake = True
        self._channels: dict[tuple[str, ParallelPaths], Channel] = {}
        self._due: list[tuple[float, int, Channel]] = []
        self._tickets = count()
        self._stirred: dict[Channel, None] = {}
        self._to_tell: dict[_Home, None] = {}
        self._full_since_s: dict[Resource, float] = {}
        env.process(self._run())

    def join(
        self, tenant: Tenant, memory: Resource, links: Iterable[Resource] = (), brought: float = inf
    ) -> None:
        """Take a replica into account.

        Parameters
        ----------
        memory
            Memory of its first device.
        links
            Links that its collectives cross.
        brought
            Bandwidth of all links of that device together [B/s]. Where it is no more than half of
            the memory's, the memory never holds transfers back: the engine is left what they do not
            take, and need not be shared out.
        """
        is_narrow = brought > 0.5 * self._buses[memory].capacity(_MANY)
        home = _Home(tenant, memory, tuple(links), is_narrow=is_narrow)
        for resource in (memory, *home.links):
            self._homes[resource] = home

    def begin(
        self, kind: str, paths: ParallelPaths, parties: Parties, on_sent: Callable[[], None]
    ) -> Transfer:
        """Begin a transfer, of whose bytes `supply` will tell.

        `on_sent` is called when the last byte has left.
        """
        return Transfer(self._channel(kind, paths), parties, on_sent, self._env.now)

    def share(self, paths: ParallelPaths) -> float:
        """Return about what share a transfer over these paths gets of what it would get alone."""
        level = inf
        for resource, used in paths.uses.items():
            rates = [
                flow.rate
                for flow, others in self._sharing.flows_on(resource).items()
                for _ in range(others)
            ]
            level = min(level, fair_share(rates, self._capacity(resource, 1), used))
        return min(level * paths.count / self._channel("", paths).alone, 1.0)

    def supply(
        self, transfer: Transfer, total: float, arriving: float = 0.0, *, is_whole: bool = True
    ) -> None:
        """Note that `total` bytes of a transfer are available, and `arriving` more per second.

        is_whole: whether these are all.
        """
        channel = transfer.channel
        channel.settle(self._env.now, channel.rate)
        channel.supply(transfer, total, arriving, is_whole=is_whole)
        self._want(channel)
        self._call()

    def _channel(self, kind: str, paths: ParallelPaths) -> Channel:
        channel = self._channels.get((kind, paths))
        if channel is None:
            alone = paths.count * min(
                self._capacity(resource, 1) / used for resource, used in paths.uses.items()
            )
            channel = self._channels[kind, paths] = Channel(kind, paths, alone)
        return channel

    def stop(self) -> None:
        """End the run: record how long links were full."""
        for resource in list(self._full_since_s):
            self._note_room(resource)

    def _capacity(self, resource: Resource, flows: int) -> float:
        known = self._capacities.get((resource, flows))
        if known is None:
            bus = self._buses.get(resource)
            known = self._capacities[resource, flows] = (
                self._link_capacity(resource) if bus is None else bus.capacity(flows)
            )
        return known

    def _want(self, channel: Channel) -> None:
        """Let a channel take part while it has something to move.

        It wants all that it can get, or as much as becomes available.
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
        """Note that a channel begins or ceases to use the memories of replicas."""
        for home in {
            id(home): home
            for end in channel.paths.ends
            if (home := self._homes.get(end)) is not None
        }.values():
            self._to_tell[home] = None
            home.crossing += more
            if home.crossing == more == 1:
                home.is_running = home.tenant.is_running
                home.tenant.share_memory(partial(self._turn, home))
                if home.is_running and home.is_narrow:
                    self._sharing.add(home.engine)
            elif not home.crossing:
                home.tenant.share_memory(None)
                if home.is_running and home.is_narrow:
                    self._sharing.remove(home.engine)

    def _turn(self, home: _Home, is_running: bool) -> None:  # noqa: FBT001 - what replicas call
        """Note that a replica whose memory others use begins or ceases to run steps."""
        if is_running != home.is_running:
            home.is_running = is_running
            if home.is_narrow:
                (self._sharing.add if is_running else self._sharing.remove)(home.engine)
                self._to_tell[home] = None
                self._call()

    def _call(self) -> None:
        """Work out rates again when everything of this moment has happened."""
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
        """Work out the rates anew; return how long they will last [s]."""
        now_s = self._env.now
        for flow, before in self._sharing.rebalance():
            if isinstance(flow, Channel):
                flow.settle(now_s, before)
                self._stirred[flow] = None
            for resource, _ in flow.uses:
                if (home := self._homes.get(resource)) is not None:
                    self._to_tell[home] = None
        for channel in self._stirred:
            self._plan(channel)
        self._stirred.clear()
        for resource in self._sharing.turned:
            (self._note_full if self._sharing.is_full(resource) else self._note_room)(resource)
        self._sharing.turned.clear()
        for home in self._to_tell:
            self._tell(home)
        self._to_tell.clear()
        due = self._due
        while due and due[0][1] != due[0][2].ticket:
            heappop(due)
        return max(due[0][0] - now_s, 0.0) if due else inf

    def _plan(self, channel: Channel) -> None:
        """Plan when something will happen to a channel, if nothing else does."""
        channel.ticket = -1
        if (ahead_s := channel.ahead_s()) < inf:
            channel.ticket = next(self._tickets)
            heappush(self._due, (self._env.now + ahead_s, channel.ticket, channel))

    def _settle(self) -> None:
        """End transfers whose bytes have all been moved.

        Channels that have moved all go on as fast as more becomes available.
        """
        due, now_s = self._due, self._env.now
        while due and due[0][0] <= now_s * _NOW:
            _, ticket, channel = heappop(due)
            if ticket == channel.ticket:
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
        transfer.on_sent()

    def _tell(self, home: _Home) -> None:
        """Tell a replica what others leave to it."""
        if not home.crossing:
            home.tenant.set_shares(1.0, 1.0)
            return
        bus, links = self._buses[home.memory], 1.0
        rates, writing = self._others(home.memory)
        is_shared_out = home.is_running and home.is_narrow
        got = (
            home.engine.rate
            if is_shared_out
            else fair_share(rates, self._capacity(home.memory, len(rates) + 1))
        )
        memory = (
            got
            / bus.bytes_per_s
            * bandwidth_kept(0.0, bus.mix_loss, 1, writing / max(sum(rates) + got, 1.0))
        )
        for link in home.links:
            rates, _ = self._others(link)
            if rates:
                capacity = self._capacity(link, 1)
                links = min(links, fair_share(rates, capacity) / capacity)
        home.tenant.set_shares(_rounded(memory), _rounded(links))

    def _others(self, resource: Resource) -> tuple[list[float], float]:
        """Return the rates of the transfers on a resource, and what they write to it together."""
        rates, writing = [], 0.0
        for flow, times in self._sharing.flows_on(resource).items():
            if isinstance(flow, Channel):
                rates.append(times * flow.rate)
                if flow.paths.ends[1] == resource:
                    writing += times * flow.rate
        return rates, writing

    def _note_full(self, resource: Resource) -> None:
        """Note that a link is full from now on."""
        self._full_since_s.setdefault(resource, self._env.now)

    def _note_room(self, resource: Resource) -> None:
        """Note that a link is no longer full."""
        since_s = self._full_since_s.pop(resource, None)
        if since_s is not None and resource not in self._buses:
            full_s = self._recorder.full_s
            full_s[resource] = full_s.get(resource, 0.0) + self._env.now - since_s


def _rounded(share: float) -> float:
    return max(round(share * _PARTS), 1) / _PARTS
