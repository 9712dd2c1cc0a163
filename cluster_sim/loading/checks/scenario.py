"""All checks of a scenario whose parts are valid each by itself."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.loading import sampling
from cluster_sim.loading.checks.counts import count_faults
from cluster_sim.loading.checks.domains import domain_faults
from cluster_sim.loading.checks.failures import failure_faults
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.loading.checks.frequency import frequency_faults
from cluster_sim.loading.checks.kv_cache import capacity_faults
from cluster_sim.loading.checks.placement import placement_faults
from cluster_sim.loading.checks.replica_plan import plan_faults
from cluster_sim.loading.checks.roles import role_faults
from cluster_sim.loading.checks.room import room_faults
from cluster_sim.loading.checks.shared_tiers import shared_cluster_faults
from cluster_sim.loading.checks.site import site_faults
from cluster_sim.loading.checks.traffic import (
    admission_faults,
    client_faults,
    objective_faults,
    router_faults,
    traffic_faults,
)
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.topology import FRONT_DOOR


def faults_of(scenario: Scenario) -> Iterator[Finding]:
    """Yield all faults of a scenario as a whole, each with its location and a sentence."""
    of_counts = list(count_faults(scenario))
    yield from of_counts
    if of_counts:
        return
    yield from traffic_faults(scenario)
    yield from objective_faults(scenario)
    yield from sampling.faults(scenario)
    yield from admission_faults(scenario)
    yield from router_faults(scenario)
    yield from role_faults(scenario)
    fleet = resolve(scenario)
    yield from _pool_faults(scenario, fleet)
    yield from client_faults(scenario, sum(spec.role != "decode" for spec in fleet.replicas))
    yield from site_faults(scenario)
    yield from room_faults(scenario)
    yield from frequency_faults(scenario, fleet)
    of_network = list(_network_faults(fleet))
    yield from of_network
    if not of_network:
        yield from domain_faults(fleet)
        yield from failure_faults(scenario, fleet)
        yield from shared_cluster_faults(scenario, fleet)


def _pool_faults(scenario: Scenario, fleet: Fleet) -> Iterator[Finding]:
    names = [deployment.name for deployment in fleet.deployments]
    for index, deployment in enumerate(fleet.deployments):
        trail: Trail = ("cluster", "pools", index)
        if deployment.name in names[:index]:
            yield (
                (*trail, "name"),
                f"got '{deployment.name}' twice; expected different names of pools",
            )
        of_plan = list(plan_faults(deployment, trail))
        yield from of_plan
        if not of_plan:
            yield from placement_faults(deployment, trail)
            yield from capacity_faults(scenario, deployment, trail)


def _network_faults(fleet: Fleet) -> Iterator[Finding]:
    """Yield a network with too few ports for the nodes, and devices that it does not reach."""
    pools = fleet.cluster.pools
    try:
        topology = fleet.topology
    except ValueError as fault:  # a generated fabric has too few ports
        yield ("cluster", "network"), str(fault)
        return
    for index, pool in enumerate(pools):
        places = [
            f"{pool.name}/{node}/device{device}"
            for node in range(pool.nodes)
            for device in range(pool.node.devices)
        ]
        if lost := topology.unreachable(places):
            of_node: Trail = ("cluster", "pools", index, "node")
            where: Trail = ("cluster", "network") if fleet.cluster.network else of_node
            yield (
                where,
                f"no route leads from {FRONT_DOOR} to {lost[0]}"
                + (f" and {len(lost) - 1} more" if len(lost) > 1 else ""),
            )
