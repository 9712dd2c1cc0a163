"""Climate of a node: temperature and flow of its supply air or water, and events of the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, floor, inf, pi, prod
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.weather_year import STEP_S, LeastSupply, least_supply
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.site import Inlet, Site
from cluster_sim.scenario.site_events import SiteEvent
from cluster_sim.typing import Array

_DAY_S = 86400.0
_MEDIUM = {"fan_failure": "air", "pump_failure": "liquid"}
"""Coolant whose flow an event reduces; other events are for all nodes."""


class Conditions(NamedTuple):
    """Supply of a node for some time."""

    supply_c: float
    """Temperature of the supply air or water [degC]."""
    flow: float
    """Share of the full flow of air or water."""


@dataclass(frozen=True, eq=False)
class Climate:
    """Inlet of a node, and the events that affect it."""

    inlet: Inlet
    """Set point of the supply."""
    events: tuple[SiteEvent, ...] = ()
    least_supply: LeastSupply | None = None
    """Coldest supply that the cooling plant reaches; None if it reaches any set point."""
    until_s: float = inf
    """Time before which the run ends [s]."""

    def conditions(self, time_s: float) -> Conditions:
        """Return the conditions at `time_s`. They hold until the next change."""
        happening = [event for event in self.events if event.lasts(time_s)]
        rise = sum(event.rise_kelvin or 0.0 for event in happening)
        flow = prod(event.factor or 1.0 for event in happening)
        return Conditions(self._inlet_c(time_s) + rise, flow)

    def _inlet_c(self, time_s: float) -> float:
        """Return the temperature of the supply without events [degC]."""
        set_point_c = inlet_c_at(self.inlet, time_s)
        if self.least_supply is None:
            return set_point_c
        return max(set_point_c, self.least_supply.at_c(time_s))

    @cached_property
    def worst(self) -> Conditions:
        """Worst possible conditions of the run: its warmest inlet, and all events together."""
        rise = sum(event.rise_kelvin or 0.0 for event in self.events)
        flow = prod(event.factor or 1.0 for event in self.events)
        warmest_c = max_inlet_c(self.inlet)
        if self.least_supply is not None:
            warmest_c = max(warmest_c, self.least_supply.max_until_c(self.until_s))
        return Conditions(warmest_c + rise, flow)

    def next_change_s(self, time_s: float) -> float:
        """Return the time of the next change after `time_s` [s]; inf if there is none."""
        ends_s = (
            end_s for event in self.events for end_s in (event.at_s, event.end_s) if end_s > time_s
        )
        of_plant_s = inf
        if self.least_supply is not None:
            of_plant_s = self.least_supply.next_change_s(time_s)
        of_inlet_s = next_inlet_change_s(self.inlet, time_s)
        return min(of_inlet_s, of_plant_s, min(ends_s, default=inf))


def climate_of(scenario: Scenario, pool: Pool, number: int) -> Climate:
    """Return the climate of a node, given by its pool and number, at a site that has an inlet."""
    assert scenario.site is not None
    inlet, events = set_point(scenario.site), cooling_events(scenario.site, pool, number)
    if pool.node.cooling is None or scenario.site.cooling is None:
        return Climate(inlet, events)
    least = least_supply(scenario, pool.node.cooling.medium, min_inlet_c(inlet))
    return Climate(inlet, events, least, _until_s(scenario))


def climates_of(scenario: Scenario, pool: Pool) -> list[Climate]:
    """Return the different climates of the nodes of a pool: nodes with the same events have one."""
    climates = (climate_of(scenario, pool, number) for number in range(pool.nodes))
    different: dict[tuple[int, ...], Climate] = {}
    for climate in climates:
        different.setdefault(tuple(map(id, climate.events)), climate)
    return list(different.values())


def _until_s(scenario: Scenario) -> float:
    """Return a time before which the run ends, a day after its last arrival and drain [s]."""
    if scenario.duration_s is None:
        return inf
    return scenario.duration_s + scenario.drain_s + _DAY_S


def set_point(site: Site) -> Inlet:
    """Return the inlet of a site that has one, with the hour of the day at which it begins."""
    assert site.inlet_c is not None
    if site.begins is None or not site.inlet_c.swing_kelvin:
        return site.inlet_c
    return site.inlet_c.model_copy(update={"begins_hour": site.begins % 24.0})


def cooling_events(site: Site, pool: Pool, number: int) -> tuple[SiteEvent, ...]:
    """Return the events that change the cooling of a node, given by its pool and number.

    A failure of fans affects nodes that are cooled by air only, one of pumps those that are cooled
    by liquid.
    """
    medium = None if pool.node.cooling is None else pool.node.cooling.medium
    return tuple(
        event
        for event in site.events
        if event.is_of_cooling
        and event.hits(f"{pool.name}/{number}")
        and _MEDIUM.get(event.what, medium) == medium
    )


class FlowCourse(NamedTuple):
    """Share of the full flow of a node's coolant, `flow[i]` from `from_s[i]` on."""

    from_s: Array
    flow: Array


def flow_course(events: Sequence[SiteEvent]) -> FlowCourse | None:
    """Return the flow of a node's coolant over time, given the events of its cooling.

    It is None if the flow is always full.
    """
    of_flow = [event for event in events if event.factor is not None]
    if not of_flow:
        return None
    ends_s = {end_s for event in of_flow for end_s in (event.at_s, event.end_s) if end_s < inf}
    from_s = sorted({0.0, *ends_s})
    flow = [
        prod(event.factor or 1.0 for event in of_flow if event.lasts(time_s)) for time_s in from_s
    ]
    return FlowCourse(np.array(from_s), np.array(flow))


def inlet_c_at(inlet: Inlet, time_s: float) -> float:
    """Return the temperature of an inlet at a time [degC]. It is constant between changes."""
    if inlet.points is not None:
        return next(
            (temperature for at_s, temperature in reversed(inlet.points) if at_s <= time_s),
            inlet.points[0][1],
        )
    assert inlet.mean_c is not None
    if not inlet.swing_kelvin:
        return inlet.mean_c
    middle_s = (floor(time_s / STEP_S) + 0.5) * STEP_S
    return inlet.mean_c + inlet.swing_kelvin * cos(
        2 * pi * (middle_s / _DAY_S + (inlet.begins_hour - inlet.peak_hour) / 24)
    )


def next_inlet_change_s(inlet: Inlet, time_s: float) -> float:
    """Return the time of an inlet's next change after `time_s` [s]; inf if there is none."""
    if inlet.points is not None:
        return next((at_s for at_s, _ in inlet.points if at_s > time_s), inf)
    return (floor(time_s / STEP_S) + 1) * STEP_S if inlet.swing_kelvin else inf


def max_inlet_c(inlet: Inlet) -> float:
    """Return the maximum temperature of an inlet over all time [degC]."""
    if inlet.points is not None:
        return max(temperature for _, temperature in inlet.points)
    return (inlet.mean_c or 0.0) + inlet.swing_kelvin


def min_inlet_c(inlet: Inlet) -> float:
    """Return the minimum temperature of an inlet over all time [degC]."""
    if inlet.points is not None:
        return min(temperature for _, temperature in inlet.points)
    return (inlet.mean_c or 0.0) - inlet.swing_kelvin
