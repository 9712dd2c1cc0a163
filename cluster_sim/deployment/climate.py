"""Climate of a node: temperature and flow of its supply air or water, and events of the site."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import cos, floor, inf, pi, prod
from typing import NamedTuple

from cluster_sim.scenario.site import Inlet, Site
from cluster_sim.scenario.site_events import SiteEvent

_DAY_S = 86400.0
_STEP_S = 300.0
"""Length of a step of a daily course of temperatures [s]: five minutes."""


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
    events: tuple[SiteEvent, ...] = ()

    def conditions(self, time_s: float) -> Conditions:
        """Return the conditions at `time_s`. They hold until the next change."""
        happening = [event for event in self.events if event.lasts(time_s)]
        rise = sum(event.rise_kelvin or 0.0 for event in happening)
        flow = prod(event.factor or 1.0 for event in happening)
        return Conditions(inlet_c_at(self.inlet, time_s) + rise, flow)

    @cached_property
    def worst(self) -> Conditions:
        """Worst possible conditions: the highest inlet temperature with all events together."""
        rise = sum(event.rise_kelvin or 0.0 for event in self.events)
        flow = prod(event.factor or 1.0 for event in self.events)
        return Conditions(max_inlet_c(self.inlet) + rise, flow)

    def next_change_s(self, time_s: float) -> float:
        """Return the time of the next change after `time_s` [s]; inf if there is none."""
        ends_s = (
            end_s for event in self.events for end_s in (event.at_s, event.end_s) if end_s > time_s
        )
        return min(next_inlet_change_s(self.inlet, time_s), min(ends_s, default=inf))


def climate_of(site: Site, node: str) -> Climate:
    """Return the climate of the node called `pool/0` at a site that has an inlet."""
    assert site.inlet_c is not None
    events = tuple(event for event in site.events if event.is_of_cooling and event.hits(node))
    return Climate(site.inlet_c, events)


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
    middle_s = (floor(time_s / _STEP_S) + 0.5) * _STEP_S
    return inlet.mean_c + inlet.swing_kelvin * cos(
        2 * pi * (middle_s / _DAY_S + (inlet.begins_hour - inlet.peak_hour) / 24)
    )


def next_inlet_change_s(inlet: Inlet, time_s: float) -> float:
    """Return the time of an inlet's next change after `time_s` [s]; inf if there is none."""
    if inlet.points is not None:
        return next((at_s for at_s, _ in inlet.points if at_s > time_s), inf)
    return (floor(time_s / _STEP_S) + 1) * _STEP_S if inlet.swing_kelvin else inf


def max_inlet_c(inlet: Inlet) -> float:
    """Return the maximum temperature of an inlet over all time [degC]."""
    if inlet.points is not None:
        return max(temperature for _, temperature in inlet.points)
    return (inlet.mean_c or 0.0) + inlet.swing_kelvin
