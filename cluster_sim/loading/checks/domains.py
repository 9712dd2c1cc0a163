"""Checks of scale-up domains that pools share."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.domains import largest_domain, pools_by_domain
from cluster_sim.topology import has_device_switch


def domain_faults(fleet: Fleet) -> Iterator[Finding]:
    """Yield nodes without a switch to join, and domains whose replicas need too many devices."""
    names = [pool.name for pool in fleet.cluster.pools]
    for domain, pools in pools_by_domain(fleet.cluster).items():
        for pool in pools:
            if not has_device_switch(pool.node):
                yield (
                    ("cluster", "pools", names.index(pool.name), "domain"),
                    f"got '{domain}'; {pool.node.name} has no switch that joins its devices; expected no domain",
                )
        held = {
            pool.name: len(fleet.numbers(pool.name))
            * fleet.deployment(pool.name).devices_per_replica
            for pool in pools
        }
        if (used := sum(held.values())) > (whole := largest_domain(pools)):
            yield (
                ("cluster", "pools", names.index(pools[0].name), "domain"),
                f"got replicas of {used} devices in domain '{domain}' ({', '.join(f'{name}: {count}' for name, count in held.items())}); expected at most the {whole} of its largest node; fewer `replicas`, or another domain",
            )
