"""Checks of power and cooling: caps that cannot be kept, events that affect nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cluster_sim.deployment.climate import min_inlet_c
from cluster_sim.deployment.power_caps import missing_w
from cluster_sim.errors import did_you_mean
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.loading.checks.power_sharing import power_sharing_faults
from cluster_sim.physics.leakage import coldest_c, leak_of
from cluster_sim.physics.thermal_networks import runs_away
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.site import Site
from cluster_sim.scenario.site_events import SiteEvent
from cluster_sim.schema import Trail


def site_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield power caps that cannot be kept, and events that affect no node."""
    for index, pool in enumerate(scenario.cluster.pools):
        yield from _power_limit_faults(pool, ("cluster", "pools", index, "power_limit"))
    if scenario.site is not None:
        yield from _cap_faults(scenario)
        yield from power_sharing_faults(scenario)
        yield from _event_faults(scenario.site, scenario.cluster.pools)
        yield from _leakage_faults(scenario.site, scenario.cluster.pools)


def _leakage_faults(site: Site, pools: tuple[Pool, ...]) -> Iterator[Finding]:
    """Yield pools whose devices would have no steady temperature or no power, by their leakage."""
    for index, pool in enumerate(pools):
        cooling, power = pool.node.cooling, pool.node.device.power
        if site.inlet_c is None or cooling is None or power is None or power.leakage is None:
            continue
        leak = leak_of(power, cooling)
        if runs_away(cooling, leak):
            yield (
                ("cluster", "pools", index, "node"),
                f"the leakage of {pool.node.device.name} grows by {leak.w_per_k:.3g} W per kelvin, faster than "
                f"{pool.node.name} removes heat, so its temperature has no steady state; "
                "expected a lower 'leakage' in the device's 'power', or better 'cooling'",
            )
        inlet_c, least_c = min_inlet_c(site.inlet_c), coldest_c(leak, power.idle_w)
        if inlet_c <= least_c:
            yield (
                ("site", "inlet"),
                f"got {inlet_c:g} degC, in which the line of the leakage of {pool.node.device.name} takes away all of its "
                f"idle power of {power.idle_w:g} W; expected more than {least_c:.1f} degC, or a lower 'leakage' in the device's 'power'",
            )


def _power_limit_faults(pool: Pool, at: Trail) -> Iterator[Finding]:
    power = pool.node.device.power
    if pool.power_limit_w is None:
        return
    if power is None:
        yield (
            at,
            f"{pool.node.device.name} has no power model; expected 'power' in the device's file",
        )
    elif pool.power_limit_w.lowest_w <= power.busy_w:
        yield (
            at,
            f"got {pool.power_limit_w.lowest_w:g} W; expected more than the {power.busy_w:g} W that {pool.node.device.name} always draws under load",
        )


def _cap_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield caps of racks and of the row that are below the idle power of their nodes."""
    for key in ("rack_power_cap", "row_power_cap"):
        if (lacking_w := missing_w(scenario, key)) >= 0.0:
            yield (
                ("site", key),
                f"got a cap {lacking_w:.0f} W below the idle power of its nodes; expected a higher cap",
            )


def _event_faults(site: Site, pools: tuple[Pool, ...]) -> Iterator[Finding]:
    nodes = {f"{pool.name}/{number}": pool for pool in pools for number in range(pool.nodes)}
    for index, event in enumerate(site.events):
        if not event.is_of_cooling:
            continue  # checks/failures.py
        at: Trail = ("site", "events", index)
        hit = {pool.name: pool for node, pool in nodes.items() if event.hits(node)}
        if not hit:
            names = [*(pool.name for pool in pools), *islice(nodes, 8)]
            hint = did_you_mean(event.where or "", names)
            yield (*at, "where"), f"got '{event.where}'{hint}"
        else:
            yield from _medium_faults(event, list(hit.values()), at)


def _medium_faults(event: SiteEvent, hit: list[Pool], at: Trail) -> Iterator[Finding]:
    """Yield a failure of fans or pumps that affects no node with this cooling medium."""
    medium = {"fan_failure": "air", "pump_failure": "liquid"}.get(event.what)
    coolings = [pool.node.cooling for pool in hit]
    if medium and all(cooling is None or cooling.medium != medium for cooling in coolings):
        other = "fan" if medium == "liquid" else "pump"
        yield (
            (*at, "what"),
            f"{event.what} affects no node, since none is cooled by {medium}; expected {other}_failure",
        )
