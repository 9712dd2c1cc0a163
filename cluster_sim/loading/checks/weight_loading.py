"""Checks of the loading of weights: stores that a node does not have."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.schema import Trail


def loading_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield a store of weights that the node of a pool, which is at `trail`, does not have."""
    pool = deployment.pool
    plan, at = pool.replica, (*trail, "replica", "weights_at")
    if plan.weights_at != "host" and pool.is_wafer:
        yield (
            at,
            f"got {plan.weights_at}; wafers load their weights from MemoryX; expected host, or load_bandwidth with no weights_at",
        )
    elif plan.weights_at != "host" and plan.load_bandwidth_bytes_per_s:
        yield (
            at,
            f"got {plan.weights_at} and load_bandwidth, which replaces the bandwidth of the store; expected one of them",
        )
    elif plan.weights_at == "disk" and deployment.load_s is None:
        yield (
            at,
            f"got disk; {pool.node.name} has no link between host and nvme; expected load_bandwidth",
        )
    elif plan.start == "cold" and deployment.load_s is None:
        yield (
            (*trail, "replica", "start"),
            f"{pool.node.name} has no link between host and device; expected load_bandwidth",
        )
