"""Devices of each replica of a pool: in the order of the nodes, or front rows before rear rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cluster_sim.deployment.deployment import Deployment


def replica_devices(deployment: Deployment) -> Iterator[range]:
    """Yield the numbers of the devices of each replica, counted over the nodes of the pool.

    With `rear_last` every replica stands in one row of one node. The front rows of all nodes are
    filled first, so that rear devices stay empty as long as possible and no running device warms
    their air. TAPAS places instances by the temperature that it predicts for each place
    (Stojkovic et al., ASPLOS 2025, arXiv 2501.02600); rear devices are warmer by the heat of those
    in front.
    """
    size, pool = deployment.devices_per_replica, deployment.pool
    if pool.placement == "in_order":
        yield from (
            range(index * size, (index + 1) * size) for index in range(deployment.replica_count)
        )
        return
    yield from islice(_by_row(deployment), deployment.replica_count)


def _by_row(deployment: Deployment) -> Iterator[range]:
    """Yield the places of replicas in the front rows of all nodes, then those in the rear rows."""
    size, node = deployment.devices_per_replica, deployment.pool.node
    row = front_devices(deployment) or node.devices
    for start in range(0, node.devices, row):
        for number in range(deployment.pool.nodes):
            first = number * node.devices + start
            for place in range(first, first + row - size + 1, size):
                yield range(place, place + size)


def front_devices(deployment: Deployment) -> int | None:
    """Return the number of devices in the front row of a node; None if it has no rear row."""
    cooling = deployment.pool.node.cooling
    return None if cooling is None else cooling.front
