"""Thermometer: temperatures of replicas as telemetry reports them to the router."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf

from cluster_sim.deployment.device_power import power_without_replica
from cluster_sim.deployment.temperatures import last_temperatures
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import DIE, MEMORY
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.power_meter import PowerMeter
from cluster_sim.typing import Array

_STATES_WITHOUT_MEMORY = 3
"""Number of temperatures of a device whose memory is on the die."""


class Thermometer:
    """Distances of replicas to the limits of their devices, read once per period: Slacks.

    Temperatures follow from the power so far, in closed form. The reading of a period is made when
    it is first asked for, which needs no extra event. Telemetry gives whole degrees, as NVML does.
    """

    def __init__(
        self,
        env: CountingEnvironment,
        groups: Sequence[ThermalGroup],
        meter: PowerMeter,
        every_s: float,
    ) -> None:
        self._env, self._groups, self._meter, self._every_s = env, groups, meter, every_s
        self._watched = sorted(watched_replicas(groups))
        self._states: list[Array] = [group.start() for group in groups]
        self._read_s, self._period = 0.0, 0
        self._slacks: dict[int, float] = {}
        self._update()

    def slack_kelvin(self, number: int) -> float:
        """Return the least distance of a replica's devices to their limits at the last reading [K].

        It is infinite for a replica without temperatures or limits.
        """
        if (period := int(self._env.now // self._every_s)) > self._period:
            self._period = period
            self._advance()
            self._update()
        return self._slacks.get(number, inf)

    def _advance(self) -> None:
        """Advance all temperatures to the present time."""
        since_s, now_s = self._read_s, self._env.now
        self._read_s = now_s
        drawn = self._meter.read(self._watched, since_s, now_s)
        for place, group in enumerate(self._groups):
            nobody = power_without_replica(group.power, since_s, now_s)
            own, front = group.drawn(drawn, nobody)
            self._states[place] = last_temperatures(group, self._states[place], own, front)

    def _update(self) -> None:
        """Compute the slack of each replica from the present temperatures."""
        self._slacks = {}
        for group, state in zip(self._groups, self._states, strict=True):
            limits = group.pool.node.device.limits
            if limits is None or group.replica is None:
                continue
            slack = limits.operating_c - floor(float(state[DIE]))
            if limits.memory_c is not None and len(state) > _STATES_WITHOUT_MEMORY:
                slack = min(slack, limits.memory_c - floor(float(state[MEMORY])))
            self._slacks[group.replica] = min(self._slacks.get(group.replica, inf), slack)


def watched_replicas(groups: Sequence[ThermalGroup]) -> set[int]:
    """Return the numbers of replicas on the devices of groups and on those upstream of them."""
    return set[int]().union(*(group.replicas for group in groups))
