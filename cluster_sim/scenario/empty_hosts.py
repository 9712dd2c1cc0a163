"""Pools whose nodes begin with an empty host memory, from which they are to load their weights."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.site import Site

_EMPTIES = ("node_failure", "spot_reclaim")
"""Kinds of events after which the memory of a host is empty."""


def empty_host_warnings(cluster: Cluster, site: Site | None) -> Iterator[str]:
    """Yield a warning for each pool that loads weights from the memory of a node that has just started.

    Wafers load from MemoryX, which outlasts their node.
    """
    for pool in cluster.pools:
        plan = pool.replica
        loads_from_host = plan.weights_at == "host" and plan.load_bandwidth_bytes_per_s is None
        if not pool.is_wafer and loads_from_host and (cause := _cause(pool, site)):
            yield (
                f"pool '{pool.name}': weights load from the memory of the host, which is empty after {cause}; expected replica.weights_at: disk or network"
            )


def _cause(pool: Pool, site: Site | None) -> str:
    """Return what lets nodes of a pool begin with an empty memory; empty if nothing does."""
    if pool.autoscale is not None and pool.autoscale.provision_s:
        return "a start of its node"
    if site is None:
        return ""
    nodes = [f"{pool.name}/{number}" for number in range(pool.nodes)]
    comes_back = (
        event.lasts_s is not None and any(event.hits(node) for node in nodes)
        for event in site.events
        if event.what in _EMPTIES
    )
    draws = site.failures is not None and site.failures.node is not None
    return "a failure of its node" if draws or any(comes_back) else ""
