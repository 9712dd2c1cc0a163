"""Managers of the power of racks and rows: caps that move by a schedule, and shares that are lent.

They read the power of nodes and set caps of devices. They do not keep a run going.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from simpy import Event

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.power_caps import (
    capped_nodes,
    caps_move,
    changes_s,
    device_caps_w,
    node_caps_w,
    node_draws,
    replica_caps_w,
)
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.power_sharing import Proportional
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.node_readings import NodeReadings
from cluster_sim.sim.polca import PolcaManager, clock_plans
from cluster_sim.sim.replica import Replica


class _Caps:
    """Caps of all replicas, which take effect after the delay of the path that sets them."""

    def __init__(
        self,
        env: CountingEnvironment,
        replicas: Sequence[Replica[Any]],
        caps_w: Sequence[float | None],
        delay_s: float,
    ) -> None:
        self._env, self._replicas, self._delay_s = env, replicas, delay_s
        self._caps_w = list(caps_w)

    def set(self, caps_w: Sequence[float | None]) -> None:
        """Set the power cap of each device of every replica [W]; None for no cap."""
        changed = [
            (replica, cap_w)
            for replica, cap_w, before_w in zip(self._replicas, caps_w, self._caps_w, strict=True)
            if cap_w != before_w
        ]
        self._caps_w = list(caps_w)

        def take_effect(_: Event) -> None:
            for replica, cap_w in changed:
                replica.cap_power(cap_w)

        if changed:
            self._env.pause(self._delay_s).callbacks.append(take_effect)


class CapSchedule:
    """Process that changes caps of pools, racks and rows at the times of their schedules."""

    def __init__(self, env: CountingEnvironment, scenario: Scenario, caps: _Caps) -> None:
        self._env, self._scenario, self._caps = env, scenario, caps
        env.process(self._run())

    def _run(self) -> Generator[Event, Any, None]:
        for at_s in changes_s(self._scenario):
            yield self._env.pause_until(at_s)
            if self._env.is_over:
                return
            self._caps.set(device_caps_w(self._scenario, at_s))


class PowerLender:
    """Process that gives the power which nodes leave to nodes that ask for more."""

    def __init__(
        self,
        env: CountingEnvironment,
        scenario: Scenario,
        fleet: Fleet,
        caps: _Caps,
        readings: NodeReadings,
    ) -> None:
        assert scenario.site is not None
        self._env, self._scenario, self._fleet = env, scenario, fleet
        self._caps, self._readings, self._sharing = caps, readings, scenario.site.power_sharing
        self._most_w = [draw.most_w for draw in node_draws(scenario)]
        env.process(self._run())

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            yield self._env.pause(self._sharing.reads_every_s)
            if self._env.is_over:
                return
            now_s = self._env.now
            wanted_w = [
                self._sharing.asked_w(reading.watts, most_w, is_slowed=reading.is_slowed)
                for reading, most_w in zip(self._readings.read(now_s), self._most_w, strict=True)
            ]
            node_w = node_caps_w(self._scenario, now_s, wanted_w)
            self._caps.set(replica_caps_w(self._fleet, node_w, now_s))


def manage_power(
    env: CountingEnvironment,
    scenario: Scenario,
    fleet: Fleet,
    replicas: Sequence[Replica[Any]],
    recorder: Recorder,
) -> None:
    """Start the managers of the power of racks and rows, and of scheduled caps, if there are any."""
    if not caps_move(scenario):
        return
    sharing = Proportional() if scenario.site is None else scenario.site.power_sharing
    caps = _Caps(env, replicas, device_caps_w(scenario), sharing.delay_s)
    groups = list(capped_nodes(scenario))
    if groups and sharing.lends:
        readings = NodeReadings(fleet, replicas, recorder)
        PowerLender(env, scenario, fleet, caps, readings)
    elif changes_s(scenario):
        CapSchedule(env, scenario, caps)
    if groups and (polca := sharing.as_polca) is not None:
        readings = NodeReadings(fleet, replicas, recorder)
        PolcaManager(env, polca, groups, clock_plans(polca, fleet, replicas), readings, recorder)
