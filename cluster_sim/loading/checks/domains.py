"""Checks of scale-up domains that pools share."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.domains import domains_of
from cluster_sim.topology import has_device_switch


def domain_faults(fleet: Fleet) -> Iterator[Finding]:
    """Yield nodes without a switch to join, and domains whose replicas need too many devices."""
    names = [pool.name for pool in fleet.cluster.pools]
    for domain in domains_of(fleet.cluster):
        for pool in domain.pools:
            if not has_device_switch(pool.node):
                yield (
                    ("cluster", "pools", names.index(pool.name), "domain"),
                    f"got '{domain.name}'; {pool.node.name} has no switch that joins its devices; expected no domain",
                )
        if (used := sum(domain.in_use.values())) > domain.devices:
            in_use = ", ".join(f"{name}: {count}" for name, count in domain.in_use.items())
            yield (
                ("cluster", "pools", names.index(domain.pools[0].name), "domain"),
                f"got replicas of {used} devices in domain '{domain.name}' ({in_use}); expected at most the {domain.devices} of its largest node; fewer `replicas`, another domain, or nodes with only the devices of their replicas",
            )
