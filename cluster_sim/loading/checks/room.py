"""Checks of the cooling plant: nodes without a power, water that is too warm, too small plants."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.climate import min_inlet_c, set_point
from cluster_sim.deployment.power_caps import node_draws
from cluster_sim.deployment.site_plant import medium_of
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail

_AT: Trail = ("site", "cooling")


def room_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield what keeps the cooling plant of a site from being computed."""
    if scenario.site is None or scenario.site.cooling is None:
        return
    unknown = [pool for pool in scenario.cluster.pools if pool.node.device.power is None]
    if unknown:
        yield (
            _AT,
            f"the plant needs the power of every node, and {unknown[0].node.device.name} has no power model; expected 'power' in the device's file",
        )
        return
    yield from _supply_faults(scenario)
    yield from _capacity_faults(scenario)


def _supply_faults(scenario: Scenario) -> Iterator[Finding]:
    site = scenario.site
    assert site is not None and site.cooling is not None
    plant = site.cooling
    if site.inlet_c is None:
        if plant.supply_c is None:
            yield (
                _AT,
                "expected 'inlet', the set point of the nodes' supply, or 'cooling.supply', the temperature of the plant's water",
            )
        return
    media = {medium_of(pool) for pool in scenario.cluster.pools}
    inlet_c, approach_k = (
        min_inlet_c(set_point(site)),
        max(plant.approach_k(medium) for medium in media),
    )
    if plant.supply_c is not None and plant.supply_c > inlet_c - approach_k + 1e-9:
        yield (
            (*_AT, "supply"),
            f"got {plant.supply_c:g} degC; expected at most {inlet_c - approach_k:g} degC: the inlet of {inlet_c:g} degC less an approach of {approach_k:g} K",
        )


def _capacity_faults(scenario: Scenario) -> Iterator[Finding]:
    site = scenario.site
    assert site is not None and site.cooling is not None
    most_w = sum(draw.most_w for draw in node_draws(scenario))
    capacity_w = site.cooling.capacity_w
    if capacity_w is not None and capacity_w < most_w * (1.0 - 1e-9):
        yield (
            (*_AT, "capacity"),
            f"got {capacity_w / 1e3:g} kW; expected at least {most_w / 1e3:.1f} kW, the maximum power of all nodes: an overloaded plant is not simulated",
        )
