"""Warnings about cooling: water outside a plant's curves, too warm weather, events without effect."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster_sim.deployment.climate import max_inlet_c, min_inlet_c, set_point
from cluster_sim.deployment.site_plant import medium_of
from cluster_sim.deployment.weather_year import least_supply
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.site import Site
from cluster_sim.units import percent


def room_warnings(scenario: Scenario) -> Iterator[str]:
    """Yield events that heat nothing, where the model of a plant ends, how warm its supply gets."""
    site = scenario.site
    if site is None:
        return
    yield from _events_without_inlet(site)
    if site.cooling is None:
        return
    if (water_c := _water_range_c(scenario, site)) is not None:
        note = site.cooling.supply_note(*water_c)
        if note is not None:
            yield note
    yield from _warm_supplies(scenario, site)


def _events_without_inlet(site: Site) -> Iterator[str]:
    """Yield kinds of events that change temperatures which are not simulated."""
    if site.inlet_c is not None:
        return
    for what in dict.fromkeys(event.what for event in site.events if event.is_of_cooling):
        yield f"site.events: {what} heats nothing, because temperatures are simulated with 'site.inlet' only; expected an inlet such as 'inlet: 25 degC'"


def _water_range_c(scenario: Scenario, site: Site) -> tuple[float, float] | None:
    """Return the lowest and highest set point of the plant's water [degC]."""
    plant = site.cooling
    assert plant is not None
    if plant.supply_c is not None:
        return plant.supply_c, plant.supply_c
    if site.inlet_c is None:
        return None
    inlet = set_point(site)
    media = {medium_of(pool) for pool in scenario.cluster.pools}
    approach_k = max(plant.approach_k(medium) for medium in media)
    return min_inlet_c(inlet) - approach_k, max_inlet_c(inlet) - approach_k


def _warm_supplies(scenario: Scenario, site: Site) -> Iterator[str]:
    """Yield how warm the nodes' supply gets in a year, if the plant misses its set point."""
    if site.inlet_c is None:
        return
    set_point_c = max_inlet_c(set_point(site))
    for medium in sorted({medium_of(pool) for pool in scenario.cluster.pools}):
        least = least_supply(scenario, medium, set_point_c)
        if least is not None and least.max_c > set_point_c:
            share = float(np.mean(least.steps_c > set_point_c))
            what = "air" if medium == "air" else "coolant"
            yield f"site.cooling: in this weather the nodes' {what} is above the set point of {set_point_c:g} degC in {percent(share)} of the year at full load, and reaches {least.max_c:.1f} degC"
