"""Scale-up domains that pools share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.pool import Pool


def pools_by_domain(cluster: Cluster) -> dict[str, list[Pool]]:
    """Return the pools of each scale-up domain, by name of the domain."""
    domains: dict[str, list[Pool]] = {}
    for pool in cluster.pools:
        if pool.domain is not None:
            domains.setdefault(pool.domain, []).append(pool)
    return domains


def largest_domain(pools: Sequence[Pool]) -> int:
    """Return the number of devices of the largest node of a domain, whose switch joins them."""
    return max(pool.node.devices for pool in pools)


def domain_warnings(cluster: Cluster) -> Iterator[str]:
    """Yield a warning for each domain whose pools count the devices of one rack several times."""
    for domain, pools in pools_by_domain(cluster).items():
        devices, whole = (
            sum(pool.nodes * pool.node.devices for pool in pools),
            largest_domain(pools),
        )
        if devices > whole:
            names = ", ".join(f"'{pool.name}'" for pool in pools)
            yield f"domain '{domain}' has {whole} devices, and the nodes of its pools {names} have {devices}: energy, power and prices count all of these. Nodes with fewer devices count the rack once"
