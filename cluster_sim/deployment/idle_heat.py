"""Conditions under which even idle devices become hotter than their shutdown temperature."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.climate import Climate, climates_of
from cluster_sim.physics.cooling import with_flow
from cluster_sim.physics.leakage import leak_of, stable
from cluster_sim.physics.power import memory_w
from cluster_sim.physics.thermal import DIE, Heat
from cluster_sim.physics.thermal_networks import thermal_network
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario


def idle_heat_warnings(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each pool whose idle devices would pass their shutdown temperature.

    A device that holds no model draws its idle power in the simulation and does not shut down, so
    its temperature and leakage rise without a limit there.
    """
    for pool in scenario.cluster.pools:
        device = pool.node.device
        if pool.node.cooling is None or device.power is None or device.limits is None:
            continue
        climates = climates_of(scenario, pool)
        hottest_c = max((_idle_c(pool, climate) for climate in climates), default=0.0)
        if hottest_c > device.limits.shutdown_c:
            yield (
                f"pool {pool.name}: its coolant is not enough for idle devices: they would pass {device.limits.shutdown_c:g} degC, at which {device.name} shuts "
                "down; devices without a model do not shut down here, so their temperatures, leakage and energy are too high after that"
            )


def _idle_c(pool: Pool, climate: Climate) -> float:
    """Return the highest steady temperature of an idle die at the beginning of each event [°C]."""
    cooling, power = pool.node.cooling, pool.node.device.power
    assert cooling is not None and power is not None
    leak, of_memory_w = leak_of(power, cooling), float(memory_w(power, 0.0))
    steady_c = []
    for at_s in {0.0, *(event.at_s for event in climate.events)}:
        around = climate.conditions(at_s)
        given = with_flow(cooling, around.flow)
        heat = Heat(power.idle_w - of_memory_w, of_memory_w, around.supply_c)
        steady_c.append(float(thermal_network(given, stable(leak, given)).steady(heat)[DIE]))
    return max(steady_c)
