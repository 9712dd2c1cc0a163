"""Checks of autoscaling: numbers and targets that a pool cannot reach."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.schema import Trail


def autoscale_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield faults of the autoscaling of a pool, which is at `trail`."""
    pool = deployment.pool
    if (spec := pool.autoscale) is None:
        return
    at = (*trail, "autoscale")
    if pool.replicas is not None:
        yield (
            (*trail, "replicas"),
            f"got {pool.replicas} beside 'autoscale', whose max is the number of replicas; expected one of them",
        )
    if deployment.load_s is None:
        yield (
            at,
            f"{pool.node.name} has no link between host and device, over which started replicas load their weights; expected load_bandwidth of the replica",
        )
    if fault := spec.unreachable(pool.max_sequences):
        yield (*at, "target"), fault
