"""Which devices of a scenario are equally warm, what surrounds them over time, and their
temperatures under what they draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.fleet import resolve
from cluster_sim.hardware.power_and_cooling import Cooling, Power
from cluster_sim.physics.power import memory_w
from cluster_sim.physics.thermal import (
    DIE,
    MEMORY,
    Heat,
    ThermalNetwork,
    thermal_network,
    with_flow,
)
from cluster_sim.physics.thermal import inlet_c as inlet_at
from cluster_sim.physics.thermal import upstream as upstream_of
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.site import Inlet, Site, SiteEvent
from cluster_sim.typing import Array


class Conditions(NamedTuple):
    """What a node is given for a while."""

    supply_c: float
    flow: float
    """Share of its air or water."""


@dataclass(frozen=True, eq=False)
class Spot:
    """Devices that are always equally warm: of one node and one replica, in front, or all behind
    devices of one other replica.
    """

    pool: Pool
    node: str
    """As `pool/0`."""
    places: tuple[int, ...]
    """Of the devices within it."""
    replica: int | None
    """Whose devices they are; None: they are empty."""
    is_behind: bool
    upstream: int | None
    """Where they stand behind others, the replica of those; None: they are empty."""
    inlet: Inlet
    events: tuple[SiteEvent, ...]
    """Of the site, those that happen to the node."""

    @property
    def power(self) -> Power:
        """What each of them draws."""
        assert self.pool.node.device.power is not None
        return self.pool.node.device.power

    @property
    def cooling(self) -> Cooling:
        """How the heat of each of them leaves it."""
        assert self.pool.node.cooling is not None
        return self.pool.node.cooling

    def devices(self) -> list[str]:
        """Their names, as in the table of devices."""
        return [f"{self.node}/device{place}" for place in self.places]

    def conditions(self, time_s: float) -> Conditions:
        """As of `time_s`, until the next change."""
        happening = [event for event in self.events if event.lasts(time_s)]
        rise = sum(event.rise_kelvin or 0.0 for event in happening)
        return Conditions(
            self.inlet.at_c(time_s) + rise, prod(event.factor or 1.0 for event in happening)
        )

    @cached_property
    def worst(self) -> Conditions:
        """No better than they ever are: the highest inlet with all events at once."""
        rise = sum(event.rise_kelvin or 0.0 for event in self.events)
        return Conditions(
            self.inlet.highest_c + rise, prod(event.factor or 1.0 for event in self.events)
        )

    def next_change_s(self, time_s: float) -> float:
        """When after `time_s` its surroundings are others; inf for never."""
        ends_s = (
            end_s
            for event in self.events
            for end_s in (event.at_s, event.at_s + event.lasts_s)
            if end_s > time_s
        )
        return min(self.inlet.next_change_s(time_s), min(ends_s, default=inf))

    def network(self, flow: float) -> ThermalNetwork:
        """With a share of the flow."""
        if (known := self._networks.get(flow)) is None:
            known = self._networks[flow] = thermal_network(with_flow(self.cooling, flow))
        return known

    @cached_property
    def _networks(self) -> dict[float, ThermalNetwork]:
        return {}

    def heat(self, around: Conditions, watts: float, memory: float, upstream_w: float) -> Heat:
        """Of a device that draws `watts`, of them `memory` in its memory, behind one that draws
        `upstream_w`.
        """
        cooling = self.network(around.flow).cooling
        return Heat(
            watts - memory,
            memory,
            inlet_at(cooling, around.supply_c, upstream_w if self.is_behind else 0.0),
        )

    def greatest(self, around: Conditions) -> list[Heat]:
        """The heats that bound all others, every device at its limit: most of it in the die, or
        most in the memory.
        """
        device = self.pool.node.device
        least, most = (
            float(memory_w(self.power, rate)) for rate in (0.0, device.memory.bandwidth_bytes_per_s)
        )
        most_w = self.power.limit_w
        return [
            self.heat(around, most_w, memory, most_w)
            for memory in sorted({least, min(most, most_w)})
        ]

    def least(self, around: Conditions) -> Heat:
        """Of empty devices."""
        return self.heat(
            around, self.power.idle_w, float(memory_w(self.power, 0.0)), self.power.idle_w
        )

    def start(self) -> Array:
        """Its temperatures at time zero: those of a long time without work."""
        own_w, front_w = (
            self.power.idle_w if replica is None else self.power.loaded_idle_w
            for replica in (self.replica, self.upstream)
        )
        around = self.conditions(0.0)
        return self.network(around.flow).steady(
            self.heat(around, own_w, float(memory_w(self.power, 0.0)), front_w)
        )

    def could_reach_a_limit(self) -> bool:
        """Whether it could ever be so warm that it changes how it works, were all devices at their
        limits for long.
        """
        device, around = self.pool.node.device, self.worst
        steady = [self.network(around.flow).steady(heat) for heat in self.greatest(around)]
        die_c = max(float(state[DIE]) for state in steady)
        if device.limits is not None and die_c >= device.limits.operating_c:
            return True
        if self.cooling.memory_j_per_k is None:
            return False
        lowest_c = min(
            device.limits.memory_c
            if device.limits is not None and device.limits.memory_c is not None
            else inf,
            device.refresh.double_c if device.refresh is not None else inf,
        )
        return max(float(state[MEMORY]) for state in steady) >= lowest_c


def spots(scenario: Scenario) -> list[Spot]:
    """Return all spots of a scenario, pool by pool and node by node.

    There are none where inlet, power or cooling are not known.
    """
    if scenario.site is None or scenario.site.inlet_c is None:
        return []
    fleet = resolve(scenario)
    held: dict[str, list[int | None]] = {
        deployment.name: [None] * (deployment.pool.nodes * deployment.pool.node.devices)
        for deployment in fleet.deployments
    }
    for replica in fleet.replicas:
        for number in replica.device_numbers:
            held[replica.deployment.name][number] = replica.number
    found: list[Spot] = []
    for deployment in fleet.deployments:
        pool = deployment.pool
        if pool.node.cooling is not None and pool.node.device.power is not None:
            for number in range(pool.nodes):
                first = number * pool.node.devices
                on_node = held[pool.name][first : first + pool.node.devices]
                found += _of_node(pool, number, on_node, scenario.site)
    return found


def _of_node(
    pool: Pool, number: int, replica_of: Sequence[int | None], site: Site
) -> Iterator[Spot]:
    """Yield the spots of one node; `replica_of` gives the replica on each of its devices."""
    assert pool.node.cooling is not None and site.inlet_c is not None
    node = f"{pool.name}/{number}"
    alike: dict[tuple[int | None, bool, int | None], list[int]] = {}
    for place, replica in enumerate(replica_of):
        front = upstream_of(pool.node.cooling, place)
        upstream = None if front is None else replica_of[front]
        alike.setdefault((replica, front is not None, upstream), []).append(place)
    events = tuple(event for event in site.events if event.hits(node))
    for (own, is_behind, upstream), places in alike.items():
        yield Spot(pool, node, tuple(places), own, is_behind, upstream, site.inlet_c, events)


class Drawn(NamedTuple):
    """What one device draws, constant in pieces: n + 1 edges, n values."""

    edges_s: Array
    watts: Array
    memory_w: Array


def drawn(
    power: Power,
    began_s: Array,
    ended_s: Array,
    watts: Array,
    bytes_per_s: Array,
    since_s: float,
    until_s: float,
    lost_s: float = inf,
) -> Drawn:
    """Of a device with these steps or stretches, in order, from `since_s` until `until_s`; between
    them it is loaded and idle, once lost it is empty.
    """
    knots_s = np.clip(
        np.maximum.accumulate(np.stack([began_s, ended_s], axis=1).ravel()), since_s, until_s
    )
    between = np.full(len(began_s), power.loaded_idle_w)
    all_w = np.append(power.loaded_idle_w, np.stack([watts, between], axis=1).ravel())
    quiet = np.full(len(began_s), float(memory_w(power, 0.0)))
    of_memory = np.append(
        float(memory_w(power, 0.0)), np.stack([memory_w(power, bytes_per_s), quiet], axis=1).ravel()
    )
    if lost_s < until_s:
        knots_s, all_w, of_memory = (
            np.append(knots_s, max(lost_s, since_s)),
            np.append(all_w, power.idle_w),
            np.append(of_memory, memory_w(power, 0.0)),
        )
    return Drawn(
        np.concatenate([[since_s], knots_s, [until_s]]), all_w, np.minimum(of_memory, all_w)
    )


def empty(power: Power, since_s: float, until_s: float) -> Drawn:
    """What a device without a replica draws."""
    return Drawn(
        np.array([since_s, until_s]), np.array([power.idle_w]), np.array([memory_w(power, 0.0)])
    )


class Course(NamedTuple):
    """Temperatures of a spot over time, and what each of its devices draws: n + 1 edges and states,
    n powers.
    """

    edges_s: Array
    states: Array
    watts: Array

    @property
    def die_c(self) -> Array:
        """At the edges."""
        die_c: Array = self.states[:, DIE]
        return die_c

    @property
    def memory_c(self) -> Array | None:
        """At the edges; None where memory is no part of its own."""
        return self.states[:, MEMORY] if self.states.shape[1] > 3 else None


def course(
    spot: Spot, state: Array, own: Drawn, front: Drawn | None, marks_s: Array | None = None
) -> Course:
    """Temperatures from `state` on under what the devices and those in front of them draw over the
    same time; exact at every edge.

    marks_s: more edges, within that time.
    """
    since_s, until_s = float(own.edges_s[0]), float(own.edges_s[-1])
    edges_s = own.edges_s
    if front is not None and front is not own:
        edges_s = np.concatenate([edges_s, front.edges_s])
    if marks_s is not None:
        edges_s = np.concatenate([edges_s, marks_s])
    if edges_s is not own.edges_s:
        edges_s = np.unique(edges_s)
    parts: list[tuple[Array, Array, Array]] = []
    at_s = since_s
    while True:
        to_s = min(spot.next_change_s(at_s), until_s)
        around = spot.conditions(at_s)
        inside = edges_s[
            np.searchsorted(edges_s, at_s, side="right") : np.searchsorted(
                edges_s, to_s, side="left"
            )
        ]
        piece_s = np.concatenate([[at_s], inside, [to_s]])
        watts, of_memory = _values(own, piece_s)
        upstream_w = _values(front, piece_s)[0] if front is not None else np.zeros(len(watts))
        inlet = around.supply_c + spot.network(around.flow).cooling.preheat_k_per_w * upstream_w
        states = spot.network(around.flow).trajectory(
            state, piece_s, watts - of_memory, of_memory, inlet
        )
        parts.append((piece_s[:-1], states[:-1], watts))
        state, at_s = states[-1], to_s
        if at_s >= until_s:
            break
    edges, all_states, watts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Course(np.append(edges, until_s), np.concatenate([all_states, state[None]]), watts)


def warmed(spot: Spot, state: Array, own: Drawn, front: Drawn | None) -> Array:
    """The last state of that course; at once where nothing changes on the way."""
    since_s, until_s = float(own.edges_s[0]), float(own.edges_s[-1])
    if (
        len(own.watts) > 1
        or (front is not None and len(front.watts) > 1)
        or spot.next_change_s(since_s) < until_s
    ):
        last: Array = course(spot, state, own, front).states[-1]
        return last
    around, upstream_w = spot.conditions(since_s), 0.0 if front is None else float(front.watts[0])
    return spot.network(around.flow).after(
        state,
        spot.heat(around, float(own.watts[0]), float(own.memory_w[0]), upstream_w),
        until_s - since_s,
    )


def _values(one: Drawn, edges_s: Array) -> tuple[Array, Array]:
    """(watts, those of the memory) between these edges, which hold all of its own within their
    time.
    """
    place = np.clip(
        np.searchsorted(one.edges_s, edges_s[:-1], side="right") - 1, 0, len(one.watts) - 1
    )
    return one.watts[place], one.memory_w[place]
