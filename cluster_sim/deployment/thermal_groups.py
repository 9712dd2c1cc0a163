"""Groups of devices of a scenario with equal temperatures, and the path of their heat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

from cluster_sim.deployment.climate import Climate, Conditions, climate_of
from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.hardware.power_and_cooling import Cooling, Power
from cluster_sim.physics.cooling import inlet_c, upstream, with_flow
from cluster_sim.physics.leakage import NO_LEAK, leak_of, stable
from cluster_sim.physics.power import memory_w
from cluster_sim.physics.thermal import DIE, MEMORY, Heat, ThermalNetwork
from cluster_sim.physics.thermal_networks import thermal_network
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.typing import Array

COOLANT = -1
"""Index of the coolant that leaves a device in a state."""


class Around(NamedTuple):
    """Conditions of a group for some time."""

    conditions: Conditions
    from_s: float
    """Time from which the conditions are known to hold [s]."""
    until_s: float
    """Time of their next change [s]."""


@dataclass(frozen=True, eq=False)
class ThermalGroup:
    """Devices whose temperatures are always equal.

    They belong to one node and one replica. Either the coolant reaches all of them first, or all of
    them stand behind devices of one replica.
    """

    pool: Pool
    node: str
    """Name of the node, such as `pool/0`."""
    places: tuple[int, ...]
    """Numbers of the devices within the node."""
    replica: int | None
    """Number of the replica on these devices; None if they hold no replica."""
    is_behind: bool
    """Whether the devices stand behind other devices."""
    upstream: int | None
    """Number of the replica on the devices in front; None if they hold no replica."""
    climate: Climate

    @property
    def replicas(self) -> set[int]:
        """Numbers of the replicas on the devices and on those in front of them."""
        return {number for number in (self.replica, self.upstream) if number is not None}

    def drawn(
        self, by_replica: Mapping[int, DrawnPower], without_replica: DrawnPower
    ) -> tuple[DrawnPower, DrawnPower | None]:
        """Return the power of a device, and that of the device in front, None if there is none.

        Parameters
        ----------
        by_replica
            Power of each device of the replicas, by number.
        without_replica
            Power of a device without a replica over the same time.
        """
        own, front = (
            without_replica if number is None else by_replica[number]
            for number in (self.replica, self.upstream)
        )
        return own, front if self.is_behind else None

    @property
    def power(self) -> Power:
        """Power model of each device."""
        assert self.pool.node.device.power is not None
        return self.pool.node.device.power

    @property
    def cooling(self) -> Cooling:
        """Path of the heat of each device."""
        assert self.pool.node.cooling is not None
        return self.pool.node.cooling

    def devices(self) -> list[str]:
        """Return the names of the devices, as in the table of devices."""
        return [f"{self.node}/device{place}" for place in self.places]

    def around(self, time_s: float) -> Around:
        """Return the conditions at a time, and how long they hold.

        NOTE: the last answer is kept, since a governor asks several times for each look: a third of
        a look's time.
        """
        last = self._last_around
        if not last or not last[0].from_s <= time_s < last[0].until_s:
            climate = self.climate
            conditions, until_s = climate.conditions(time_s), climate.next_change_s(time_s)
            last[:] = [Around(conditions, time_s, until_s)]
        return last[0]

    @cached_property
    def _last_around(self) -> list[Around]:
        return []

    def network(self, flow: float, *, is_on: bool = True) -> ThermalNetwork:
        """Return the thermal network of a device with a share of the node's flow.

        A device that is off has no leakage.
        """
        if (known := self._networks.get((flow, is_on))) is None:
            cooling = with_flow(self.cooling, flow)
            leak = stable(leak_of(self.power, self.cooling), cooling) if is_on else NO_LEAK
            known = thermal_network(cooling, leak)
            self._networks[flow, is_on] = known
        return known

    @cached_property
    def _networks(self) -> dict[tuple[float, bool], ThermalNetwork]:
        return {}

    def heat(self, around: Conditions, watts: float, of_memory_w: float, front_w: float) -> Heat:
        """Return the heat of a device that draws `watts`, of which `of_memory_w` in its memory.

        A device in front of it draws `front_w`.
        """
        cooling = self.network(around.flow).cooling
        at_inlet_c = inlet_c(cooling, around.supply_c, front_w if self.is_behind else 0.0)
        return Heat(watts - of_memory_w, of_memory_w, at_inlet_c)

    def greatest(self, around: Conditions) -> list[Heat]:
        """Return the heats that bound all others from above.

        Every device is at its limit, with most of its power in the die or most in the memory.
        """
        bandwidth = self.pool.node.device.memory.bandwidth_bytes_per_s
        least_w, most_w = (float(memory_w(self.power, rate)) for rate in (0.0, bandwidth))
        limit_w = self.power.limit_w
        return [
            self.heat(around, limit_w, of_memory_w, limit_w)
            for of_memory_w in sorted({least_w, min(most_w, limit_w)})
        ]

    def least(self, around: Conditions) -> Heat:
        """Return the heat that bounds all others from below: all devices are off."""
        return self.heat(around, 0.0, 0.0, 0.0)

    def idle(self, around: Conditions) -> Heat:
        """Return the heat of a device without a model, behind devices without one."""
        idle_w = self.power.idle_w
        return self.heat(around, idle_w, float(memory_w(self.power, 0.0)), idle_w)

    def start(self) -> Array:
        """Return the temperatures at time zero, which are those after a long time without work."""
        own_w, front_w = (
            self.power.idle_w if replica is None else self.power.loaded_idle_w
            for replica in (self.replica, self.upstream)
        )
        around = self.climate.conditions(0.0)
        heat = self.heat(around, own_w, float(memory_w(self.power, 0.0)), front_w)
        return self.network(around.flow).steady(heat)

    def could_reach_a_limit(self) -> bool:
        """Return whether the devices can become so warm that their operation changes.

        The test has all devices at their limit for a long time, and all events together.
        """
        limits, refresh = self.pool.node.device.limits, self.pool.node.device.refresh
        around = self.climate.worst
        steady = [self.network(around.flow).steady(heat) for heat in self.greatest(around)]
        if limits is not None:
            if max(float(state[DIE]) for state in steady) >= limits.operating_c:
                return True
            hottest_c = max(float(state[COOLANT]) for state in steady)
            if limits.coolant_c is not None and hottest_c >= limits.coolant_c:
                return True
        if self.cooling.memory_j_per_k is None:
            return False
        lowest_c = min(
            limits.memory_c if limits is not None and limits.memory_c is not None else inf,
            refresh.double_c if refresh is not None else inf,
        )
        return max(float(state[MEMORY]) for state in steady) >= lowest_c


def thermal_groups(scenario: Scenario) -> list[ThermalGroup]:
    """Return all thermal groups of a scenario, pool by pool and node by node.

    There are none if inlet, power or cooling are unknown.
    """
    if scenario.site is None or scenario.site.inlet_c is None:
        return []
    fleet = resolve(scenario)
    replica_of = _replicas_by_device(fleet)
    groups: list[ThermalGroup] = []
    for deployment in fleet.deployments:
        pool = deployment.pool
        if pool.node.cooling is not None and pool.node.device.power is not None:
            for number in range(pool.nodes):
                first = number * pool.node.devices
                on_node = replica_of[pool.name][first : first + pool.node.devices]
                groups += _of_node(pool, number, on_node, scenario)
    return groups


def _replicas_by_device(fleet: Fleet) -> dict[str, list[int | None]]:
    """Return the replica (or None) on each device of a pool, by the name of the pool."""
    replica_of: dict[str, list[int | None]] = {
        deployment.name: [None] * (deployment.pool.nodes * deployment.pool.node.devices)
        for deployment in fleet.deployments
    }
    for replica in fleet.replicas:
        for number in replica.device_numbers:
            replica_of[replica.deployment.name][number] = replica.number
    return replica_of


def _of_node(
    pool: Pool, number: int, replica_of: Sequence[int | None], scenario: Scenario
) -> Iterator[ThermalGroup]:
    """Yield the groups of one node. `replica_of` gives the replica on each of its devices."""
    assert pool.node.cooling is not None
    node = f"{pool.name}/{number}"
    alike: dict[tuple[int | None, bool, int | None], list[int]] = {}
    for place, replica in enumerate(replica_of):
        front = upstream(pool.node.cooling, place)
        in_front = None if front is None else replica_of[front]
        alike.setdefault((replica, front is not None, in_front), []).append(place)
    climate = climate_of(scenario, pool, number)
    for (replica, is_behind, in_front), places in alike.items():
        yield ThermalGroup(pool, node, tuple(places), replica, is_behind, in_front, climate)
