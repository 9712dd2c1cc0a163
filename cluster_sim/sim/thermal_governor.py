"""ThermalGovernor: process that lowers and raises clocks by temperature, and shuts replicas down.

A governor watches the devices of nodes that share replicas. The power of the devices is in the rows
of their stretches, so their present temperatures are known in closed form. The earliest time at
which a limit can be reached under any load is known too. The governor sleeps until that time, at
least for one control period, and indefinitely while all devices are idle. Devices that cannot reach
a limit at their maximum power have no governor.

A replica that was shut down is off until all of its devices are cool; then it loads its weights. The
governor waits for that in the background: it does not keep a run going.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import inf
from typing import Any

from simpy import Event

from cluster_sim.deployment.device_power import power_without_replica
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import DIE
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.alarm import Alarm
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.lifecycle import Lifecycle
from cluster_sim.sim.power_meter import PowerMeter
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_events import ReplicaEvents
from cluster_sim.sim.thermal_guard import ThermalGuard


class ThermalGovernor(ReplicaEvents):
    """Process that watches the thermal groups of nodes that share replicas."""

    def __init__(
        self,
        env: CountingEnvironment,
        groups: Sequence[tuple[int, ThermalGroup]],
        meter: PowerMeter,
        lifecycles: Sequence[Lifecycle],
        recorder: Recorder,
    ) -> None:
        self._env, self._meter, self._recorder = env, meter, recorder
        self._guards = [(number, ThermalGuard(group, group.start())) for number, group in groups]
        numbers = set[int]().union(*(group.replicas for _, group in groups))
        self._replicas = {number: lifecycles[number].replica for number in sorted(numbers)}
        self._guards_of = {
            number: [guard for _, guard in self._guards if guard.group.replica == number]
            for number in self._replicas
        }
        self._lifecycles = lifecycles
        self._now_s = self._next_s = 0.0
        self._alarm, self._asleep = Alarm(env), False
        self._shut_s: dict[int, float] = {}
        """Times at which replicas were shut down [s], by number, until they are cool."""
        self._waits = False  # whether `_wait_until_cool` runs
        env.process(self._run())

    def became_busy(self) -> None:
        """Resume the checks, since a device is busy now."""
        if self._asleep:
            self._asleep = False
            self._alarm.sooner(max(self._next_s - self._env.now, 0.0))

    def _wait_until_cool(self) -> Generator[Event, Any, None]:
        """Go on with the checks, even if all devices are idle, until no replica is shut down."""
        self._waits = True
        while self._shut_s and self._next_s < inf:
            yield self._env.pause_until(max(self._next_s, self._env.now))
            if self._env.is_over:
                return
            while self._next_s <= self._env.now:
                self._settle(self._next_s)
        self._waits = False

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            # actions that became due while all devices were idle are done now, with their own times
            while self._next_s <= self._env.now:
                self._settle(self._next_s)
            self._asleep = not any(replica.requests for replica in self._replicas.values())
            yield (
                self._alarm.when_called()
                if self._asleep
                else self._alarm.after(self._next_s - self._env.now)
            )

    def _settle(self, now_s: float) -> None:
        """Compute the temperatures at `now_s`, act on them, and set the time of the next check."""
        self._warm(now_s)
        # nothing can have happened to the others, so that they look later as planned
        due = [(number, guard) for number, guard in self._guards if guard.looks_s <= now_s]
        for number, guard in due:
            guard.act(now_s)
            self._recorder.die_c[guard.name] = float(guard.state[DIE])
            if (change := guard.change()) is not None:
                self._recorder.throttles.append((now_s, number, *change))
        for replica in self._replicas.values():
            self._throttle(replica, now_s)
        for _, guard in due:
            guard.plan(now_s)
        self._next_s = min(guard.looks_s for _, guard in self._guards)
        self._start_cool(now_s)

    def _throttle(self, replica: Replica[Any], now_s: float) -> None:
        """Throttle a replica as its hottest devices; fail it if any of its devices is lost."""
        guards = self._guards_of[replica.number]
        replica.set_throttle(
            min(guard.clock for guard in guards), min(guard.refresh for guard in guards)
        )
        if not replica.down and any(guard.lost for guard in guards):
            die_c = max(float(guard.state[DIE]) for guard in guards)
            self._recorder.events.append((now_s, "shutdown", replica.number, -1, die_c))
            self._lifecycles[replica.number].lose("shutdown")
            self._shut_s[replica.number] = now_s
            if not self._waits:
                self._env.process(self._wait_until_cool())

    def _start_cool(self, now_s: float) -> None:
        """Start the replicas whose devices have cooled after a shutdown."""
        for number, shut_s in list(self._shut_s.items()):
            if not any(guard.lost for guard in self._guards_of[number]):
                del self._shut_s[number]
                self._recorder.events.append((now_s, "repaired", number, -1, now_s - shut_s))
                self._lifecycles[number].repair()

    def _warm(self, now_s: float) -> None:
        """Advance the temperatures of all groups to `now_s`."""
        if now_s > self._now_s:
            by_replica = self._meter.read(self._replicas, self._now_s, now_s)
            for _, guard in self._guards:
                nobody = power_without_replica(guard.group.power, self._now_s, now_s)
                guard.warm(*guard.group.drawn(by_replica, nobody))
        self._now_s = now_s


def thermal_governors(
    env: CountingEnvironment,
    fleet: Fleet,
    groups: Sequence[ThermalGroup],
    lifecycles: Sequence[Lifecycle],
    recorder: Recorder,
) -> list[ThermalGovernor]:
    """Return a governor for each set of nodes that share replicas and can reach a limit."""
    hot = {
        group.node for group in groups if group.replica is not None and group.could_reach_a_limit()
    }
    replicas = [lifecycle.replica for lifecycle in lifecycles]
    watched = [(nodes, numbers) for nodes, numbers in _sharing(groups) if nodes & hot]
    meter = PowerMeter(
        fleet.replicas, replicas, {number for _, numbers in watched for number in numbers}, recorder
    )
    governors = []
    for nodes, numbers in watched:
        governor = ThermalGovernor(
            env,
            [(place, group) for place, group in enumerate(groups) if group.node in nodes],
            meter,
            lifecycles,
            recorder,
        )
        for number in numbers:
            replicas[number].subscribe(governor)
        governors.append(governor)
    return governors


def _sharing(groups: Sequence[ThermalGroup]) -> list[tuple[set[str], set[int]]]:
    """Return (nodes, numbers of replicas) per set of nodes; no replica spans two sets."""
    sets: list[tuple[set[str], set[int]]] = []
    for group in groups:
        nodes, numbers = {group.node}, group.replicas
        apart = []
        for joined in sets:
            if joined[0] & nodes or joined[1] & numbers:
                nodes, numbers = nodes | joined[0], numbers | joined[1]
            else:
                apart.append(joined)
        sets = [*apart, (nodes, numbers)]
    return sets
