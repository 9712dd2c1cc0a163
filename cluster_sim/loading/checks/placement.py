"""Checks of the placement of replicas in front and rear rows."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.placement_order import front_devices
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.schema import Trail


def placement_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield why the replicas of a pool, which is at `trail`, cannot be placed row by row."""
    pool, size = deployment.pool, deployment.devices_per_replica
    if pool.placement == "in_order":
        return
    front, at = front_devices(deployment), (*trail, "placement")
    if front is None:
        yield (
            at,
            f"got {pool.placement}, but no device of {pool.node.name} stands behind another; expected in_order",
        )
    elif size > front:
        yield (
            at,
            f"got {pool.placement}, but a replica of {size} devices does not fit into a row of {front}; expected in_order",
        )
    elif (held := 2 * pool.nodes * (front // size)) < deployment.replica_count:
        yield (
            at,
            f"got {pool.placement} for {deployment.replica_count} replicas of {size} devices, but rows of {front} hold {held}; expected fewer replicas",
        )
