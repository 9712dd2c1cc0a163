"""Transfers under way, and the replicas whose memories and links they cross: one process, one event
for what comes next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
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
from cluster_sim.topology import ParallelPaths

_PARTS = 64
"""Shares are rounded to as many parts of one, so that replicas run at few paces: step times at a
pace are kept, and found again."""

_NOTHING = 1e-11  # of a channel's bytes: less is a rounding
_MANY = 64  # streams: more are not held to share a memory
_NOW = 1 + 1e-15  # an event comes at its time but for a rounding


class Tenant(Protocol):
    """What the fabric sees of a replica."""

    shared: Callable[[bool], None] | None
    """Told before each stretch whether there is anything to run, while others use its memory."""

    @property
    def is_running(self) -> bool:
        """Whether a step is under way."""
        ...

    def set_shares(self, memory: float, links: float) -> None:
        """What others leave of the bandwidth of its memories and of its links, from the next step
        on.
        """
        ...


@dataclass(frozen=True)
class Bus:
    """A memory, as all traffic that crosses it sees it."""

    bytes_per_s: float
    """What one stream of reads reaches."""
    stream_loss: float = 0.0
    mix_loss: float = 0.0

    def capacity(self, streams: int) -> float:
        """What so many of them reach together."""
        return self.bytes_per_s * bandwidth_kept(self.stream_loss, self.mix_loss, streams, 0.0)


class Transfer:
    """Bytes on their way; they may come into being while it is under way."""

    __slots__ = (
        "_alone_left",
        "alone_ends_s",
        "began_s",
        "channel",
        "coming",
        "on_sent",
        "since_s",
        "supplied",
        "who",
    )

    def __init__(
        self, channel: Channel, who: tuple[int, int, int], on_sent: Callable[[], None], now_s: float
    ) -> None:
        self.channel, self.who, self.on_sent = channel, who, on_sent
        self.began_s = self.since_s = self.alone_ends_s = now_s
        self.supplied = self.coming = self._alone_left = 0.0

    def supply(self, total: float, coming: float, now_s: float) -> float:
        """By now `total` bytes have come into being, and so many more a second will. Returns by how
        many that is more than was known.

        `alone_ends_s` is when what there is would have left with nobody else about.
        """
        elapsed_s = now_s - self.since_s
        more = total - (self.supplied + self.coming * elapsed_s)
        self._alone_left = (
            max(self._alone_left + (self.coming - self.channel.alone) * elapsed_s, 0.0) + more
        )
        self.alone_ends_s = now_s + self._alone_left / self.channel.alone
        self.supplied, self.coming, self.since_s = total, coming, now_s
        return more


class Channel(Flow):
    """All transfers of a kind over the same lanes, one after the other: bytes leave in the order in
    which they come into being.
    """

    __slots__ = (
        "alone",
        "coming",
        "is_sharing",
        "kind",
        "lanes",
        "marks",
        "moved",
        "opened",
        "since_s",
        "supplied",
        "ticket",
    )

    def __init__(self, kind: str, lanes: ParallelPaths, alone: float) -> None:
        super().__init__(lanes.uses)
        self.kind, self.lanes = kind, lanes
        self.alone = alone
        """What all lanes carry with nobody else about [B/s]."""
        self.supplied = self.moved = self.coming = self.since_s = 0.0
        self.opened = 0
        """Transfers whose bytes are coming into being."""
        self.marks: deque[tuple[float, Transfer]] = deque()
        """Transfers that have ended when so much has been moved."""
        self.is_sharing = False
        self.ticket = -1

    @property
    def left(self) -> float:
        """Bytes that are there and have not been moved."""
        return self.supplied - self.moved

    @property
    def is_behind(self) -> bool:
        """Whether there are any."""
        return self.left > _NOTHING * self.supplied

    @property
    def bytes_per_s(self) -> float:
        """That it moves."""
        return self.lanes.count * self.rate

    def settle(self, now_s: float, rate: float) -> None:
        """Each lane has moved `rate` bytes a second until now."""
        elapsed_s = now_s - self.since_s
        self.since_s = now_s
        if elapsed_s:
            self.supplied += self.coming * elapsed_s
            self.moved = min(self.moved + self.lanes.count * rate * elapsed_s, self.supplied)

    def supply(self, transfer: Transfer, total: float, coming: float, is_whole: bool) -> None:
        """By now `total` bytes of a transfer have come into being, and so many more a second will."""
        if not (self.is_behind or self.opened or self.marks):
            self.supplied = self.moved = self.coming = 0.0
        self.opened += (coming > 0) - (transfer.coming > 0)
        rising = coming - transfer.coming
        self.supplied += transfer.supply(total, coming, self.since_s)
        self.coming = self.coming + rising if self.opened else 0.0
        if is_whole:
            self.marks.append((self.supplied, transfer))

    def ahead_s(self) -> float:
        """Until a transfer ends or all that is there has been moved, as things are."""
        if not self.is_behind:
            return 0.0 if self.marks else inf
        rate = self.bytes_per_s
        to_mark_s = (self.marks[0][0] - self.moved) / rate if self.marks and rate else inf
        return min(to_mark_s, self.left / (rate - self.coming) if rate > self.coming else inf)

    def arrive(self) -> list[Transfer]:
        """That time has passed. Returns the transfers that have ended."""
        reached = self.moved + 2 * _NOTHING * self.supplied
        self.moved = (
            self.marks[0][0] if self.marks and self.marks[0][0] <= reached else self.supplied
        )
        ended = []
        while self.marks and self.marks[0][0] <= self.moved:
            ended.append(self.marks.popleft()[1])
        return ended


class _Home:
    """A replica; the memory and the links of its first device, which stand for those of its others."""

    __slots__ = ("crossing", "engine", "is_narrow", "is_running", "links", "memory", "tenant")

    def __init__(
        self, tenant: Tenant, memory: Resource, links: tuple[Resource, ...], is_narrow: bool
    ) -> None:
        self.tenant, self.memory, self.links, self.is_narrow = tenant, memory, links, is_narrow
        self.engine = Flow({memory: 1})
        """The steps' own traffic, which takes all that it can get of the memory's bandwidth while
        any are run."""
        self.crossing = 0
        """Transfers that cross its memory."""
        self.is_running = False


class Fabric:
    """Moves bytes over lanes, whatever they cross being shared max-min fairly with all others that
    cross it.

    Rates are worked out again when a transfer begins, ends, or waits for bytes to come into being,
    and then only of those that this reaches. Replicas are no transfers: whose memory nobody else
    uses is not looked at. While somebody does, its engine has a fair part of that memory for as
    long as it runs, transfers have the rest, and it is told what they leave.
    """

    def __init__(
        self,
        env: Environment,
        capacity: Callable[[Resource], float],
        buses: Mapping[Resource, Bus],
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
        """A replica; the memory of its first device, the links that its collectives cross, and what
        all links bring that device [B/s].

        Where that is no more than half of what the memory can do, transfers never are the ones that
        it holds back: the engine is left what they do not take, and need not be shared out.
        """
        home = _Home(
            tenant, memory, tuple(links), brought > 0.5 * self._buses[memory].capacity(_MANY)
        )
        for resource in (memory, *home.links):
            self._homes[resource] = home

    def begin(
        self,
        kind: str,
        lanes: ParallelPaths,
        who: tuple[int, int, int],
        on_sent: Callable[[], None],
    ) -> Transfer:
        """A transfer of bytes that `supply` will tell of; `on_sent` is called when the last has
        left.

        who: replica that sends, replica that receives, request.
        """
        return Transfer(self._channel(kind, lanes), who, on_sent, self._env.now)

    def share(self, lanes: ParallelPaths) -> float:
        """Of what a transfer over these lanes would get with nobody else about, what it gets if it
        begins now, about.
        """
        level = inf
        for resource, used in lanes.uses.items():
            rates = [
                flow.rate
                for flow, others in self._sharing.flows_on(resource).items()
                for _ in range(others)
            ]
            level = min(level, fair_share(rates, self._capacity(resource, 1), used))
        return min(level * lanes.count / self._channel("", lanes).alone, 1.0)

    def supply(
        self, transfer: Transfer, total: float, coming: float = 0.0, is_whole: bool = True
    ) -> None:
        """Of a transfer `total` bytes have come into being by now, and `coming` a second will;
        is_whole: that was all.
        """
        channel = transfer.channel
        channel.settle(self._env.now, channel.rate)
        channel.supply(transfer, total, coming, is_whole)
        self._want(channel)
        self._call()

    def _channel(self, kind: str, lanes: ParallelPaths) -> Channel:
        channel = self._channels.get((kind, lanes))
        if channel is None:
            alone = lanes.count * min(
                self._capacity(resource, 1) / used for resource, used in lanes.uses.items()
            )
            channel = self._channels[kind, lanes] = Channel(kind, lanes, alone)
        return channel

    def stop(self) -> None:
        """The run ends: how long links were full is known."""
        for resource in list(self._full_since_s):
            self._note(resource, False)

    def _capacity(self, resource: Resource, flows: int) -> float:
        known = self._capacities.get((resource, flows))
        if known is None:
            bus = self._buses.get(resource)
            known = self._capacities[resource, flows] = (
                self._link_capacity(resource) if bus is None else bus.capacity(flows)
            )
        return known

    def _want(self, channel: Channel) -> None:
        """Let it take part while it has something to move: all that it can get, or what comes into
        being.
        """
        wanted = inf if channel.is_behind else channel.coming / channel.lanes.count
        self._stirred[channel] = None
        if wanted and not channel.is_sharing:
            channel.is_sharing, channel.limit = True, wanted
            self._sharing.add(channel)
            self._cross(channel, 1)
        elif wanted:
            self._sharing.set_limit(channel, wanted)
        elif channel.is_sharing:
            self._sharing.remove(channel)
            channel.is_sharing, channel.rate = False, 0.0
            self._cross(channel, -1)

    def _cross(self, channel: Channel, more: int) -> None:
        """It begins or ceases to use the memories of replicas."""
        for home in {
            id(home): home
            for end in channel.lanes.ends
            if (home := self._homes.get(end)) is not None
        }.values():
            self._to_tell[home] = None
            home.crossing += more
            if home.crossing == more == 1:
                home.is_running = home.tenant.is_running
                home.tenant.shared = partial(self._turn, home)
                if home.is_running and home.is_narrow:
                    self._sharing.add(home.engine)
            elif not home.crossing:
                home.tenant.shared = None
                if home.is_running and home.is_narrow:
                    self._sharing.remove(home.engine)

    def _turn(self, home: _Home, is_running: bool) -> None:
        """A replica whose memory others use begins or ceases to run steps."""
        if is_running != home.is_running:
            home.is_running = is_running
            if home.is_narrow:
                (self._sharing.add if is_running else self._sharing.remove)(home.engine)
                self._to_tell[home] = None
                self._call()

    def _call(self) -> None:
        """Something has changed: rates are worked out again when everything of this moment has
        happened.
        """
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
        """How long the rates that follow from what has changed will last."""
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
            self._note(resource, self._sharing.is_full(resource))
        self._sharing.turned.clear()
        for home in self._to_tell:
            self._tell(home)
        self._to_tell.clear()
        due = self._due
        while due and due[0][1] != due[0][2].ticket:
            heappop(due)
        return max(due[0][0] - now_s, 0.0) if due else inf

    def _plan(self, channel: Channel) -> None:
        """When something will happen to it, if nothing else does."""
        channel.ticket = -1
        if (ahead_s := channel.ahead_s()) < inf:
            channel.ticket = next(self._tickets)
            heappush(self._due, (self._env.now + ahead_s, channel.ticket, channel))

    def _settle(self) -> None:
        """Transfers that have moved all their bytes end; channels that have moved all go on as fast
        as more comes into being.
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
            channel.lanes,
            TransferRow(
                channel.kind,
                *transfer.who,
                transfer.supplied,
                transfer.began_s,
                self._env.now,
                alone_s,
            ),
        )
        transfer.on_sent()

    def _tell(self, home: _Home) -> None:
        """A replica what others leave to it."""
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
        """Rates of the transfers on it, and what they write to it together."""
        rates, writing = [], 0.0
        for flow, lanes in self._sharing.flows_on(resource).items():
            if isinstance(flow, Channel):
                rates.append(lanes * flow.rate)
                if flow.lanes.ends[1] == resource:
                    writing += lanes * flow.rate
        return rates, writing

    def _note(self, resource: Resource, is_full: bool) -> None:
        """From now on a link is full, or not any more."""
        if is_full:
            self._full_since_s.setdefault(resource, self._env.now)
        elif (
            since_s := self._full_since_s.pop(resource, None)
        ) is not None and resource not in self._buses:
            self._recorder.full_s[resource] = (
                self._recorder.full_s.get(resource, 0.0) + self._env.now - since_s
            )


@dataclass(frozen=True)
class HostWay:
    """Between a replica's devices and their host: blocks that are swapped out and in, or fetched
    from tiers.

    The step that waits for them takes as long as the way's share says at its beginning; for others
    they are a transfer.
    """

    fabric: Fabric
    lanes: ParallelPaths
    kind: str
    replica: int
    bytes_per_s: float
    """At which they move with nobody else about, over all devices."""

    def moved_s(self, alone_s: float) -> float:
        """How long it takes from now on to move what takes `alone_s` with nobody else about."""
        share = self.fabric.share(self.lanes)
        transfer = self.fabric.begin(self.kind, self.lanes, (self.replica, -1, -1), _nobody)
        self.fabric.supply(transfer, alone_s * self.bytes_per_s)
        return alone_s / share


def _nobody() -> None:
    """Waits for it."""


def _rounded(share: float) -> float:
    return max(round(share * _PARTS), 1) / _PARTS
