"""Scale-up domains that pools share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cluster_sim.errors import nearest
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.pool import Pool


class Domain(NamedTuple):
    """Scale-up domain and the pools whose nodes are parts of it."""

    name: str
    pools: tuple[Pool, ...]

    @property
    def in_use(self) -> dict[str, int]:
        """Number of devices of replicas, by name of the pool."""
        return {
            pool.name: pool.replica_devices * pool.replica_count(max(pool.replica_devices, 1))
            for pool in self.pools
        }

    @property
    def are_parts(self) -> bool:
        """Whether replicas fill all nodes, which are then different parts of the domain.

        Otherwise a node is taken for the whole domain, and pools use different devices of it.
        """
        return sum(self.in_use.values()) == self.counted

    @property
    def counted(self) -> int:
        """Number of devices of the pools' nodes, which energy and prices count."""
        return sum(pool.nodes * pool.node.devices for pool in self.pools)

    @property
    def most_devices(self) -> int:
        """Number of devices of the largest domain that such nodes form."""
        nodes = [pool.node for pool in self.pools]
        return max(node.domain_devices or node.devices for node in nodes)

    @property
    def devices(self) -> int:
        """Number of devices of the domain."""
        return self.counted if self.are_parts else max(pool.node.devices for pool in self.pools)


def domains_of(cluster: Cluster) -> list[Domain]:
    """Return the scale-up domains that pools name."""
    pools: dict[str, list[Pool]] = {}
    for pool in cluster.pools:
        if pool.domain is not None:
            pools.setdefault(pool.domain, []).append(pool)
    return [Domain(name, tuple(members)) for name, members in pools.items()]


def domain_warnings(cluster: Cluster) -> Iterator[str]:
    """Yield warnings: domains of a single pool, and racks whose devices several pools count."""
    domains = domains_of(cluster)
    for domain in domains:
        if len(domain.pools) == 1 and len(cluster.pools) > 1:
            others = [other.name for other in domains if other is not domain]
            near = nearest(domain.name, others)[:1]
            hint = f"; did you mean '{near[0]}'?" if near else ""
            yield f"domain '{domain.name}' of pool '{domain.pools[0].name}' has no other pool, so that it changes nothing{hint}"
        if domain.counted > domain.devices:
            names = ", ".join(f"'{pool.name}'" for pool in domain.pools)
            yield f"domain '{domain.name}' has {domain.devices} devices, and the nodes of its pools {names} have {domain.counted}: energy, power and prices count all of these. Nodes with only the devices of their replicas count the rack once"
