"""Checks of scale-up domains that pools share."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.domains import domains_of
from cluster_sim.topology import has_device_switch


def domain_faults(fleet: Fleet) -> Iterator[Finding]:
    """Yield nodes without a switch, domains of unlike devices, and those with too many devices."""
    names = [pool.name for pool in fleet.cluster.pools]
    for domain in domains_of(fleet.cluster):
        first = domain.pools[0]
        at = ("cluster", "pools", names.index(first.name), "domain")
        for pool in domain.pools:
            if not has_device_switch(pool.node):
                yield (
                    ("cluster", "pools", names.index(pool.name), "domain"),
                    f"got '{domain.name}'; {pool.node.name} has no switch that joins its devices; expected no domain",
                )
        if len(kinds := {pool.node.device.name: None for pool in domain.pools}) > 1:
            yield (
                at,
                f"got '{domain.name}' for nodes with {' and '.join(kinds)}; expected the same device in all nodes of a domain",
            )
        if domain.are_parts and domain.counted > domain.most_devices:
            yield (
                at,
                f"got nodes of {domain.counted} devices in domain '{domain.name}'; a scale-up domain of such nodes has {domain.most_devices}; expected at most these: fewer `nodes`, or another domain for a part of the pools (`node.domain_devices` is the size of the domain of other machines)",
            )
        elif (used := sum(domain.in_use.values())) > domain.devices:
            in_use = ", ".join(f"{name}: {count}" for name, count in domain.in_use.items())
            yield (
                at,
                f"got replicas of {used} devices in domain '{domain.name}' ({in_use}); expected at most the {domain.devices} of its largest node; fewer `replicas`, another domain, or nodes with only the devices of their replicas",
            )
