"""Pools that scale to zero and never start, because their requests go elsewhere meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.scenario.cluster import Cluster


def zero_warnings(cluster: Cluster) -> Iterator[str]:
    """Yield a warning for each pool that stays at zero as long as other pools are open.

    A pool at zero starts when a request waits for it. None waits while the router may send it to a
    replica that is always on.
    """
    entries = [pool for pool in cluster.pools if pool.replica.role != "decode"]
    always_on = [pool.name for pool in entries if pool.autoscale is None or pool.autoscale.min > 0]
    for pool in entries:
        scale = pool.autoscale
        if scale is None or scale.min > 0 or scale.schedule:
            continue
        if cluster.router.leads_past(pool.name, always_on):
            names = " and ".join(f"'{name}'" for name in always_on)
            yield (
                f"pool '{pool.name}' scales to zero and never starts again while {names} can take its requests; expected autoscale.min: 1, or rules that lead some requests to '{pool.name}' alone"
            )
