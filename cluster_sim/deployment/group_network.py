"""Network between the nodes of one pipeline stage, from the topology of the cluster."""

from __future__ import annotations

from collections import defaultdict

from cluster_sim.hardware.node import Node
from cluster_sim.physics.replica_layout import GroupNetwork
from cluster_sim.topology import Route, Topology


def group_network(node: Node, stage: int) -> GroupNetwork:
    """Return the network between the nodes of a stage of `stage` devices.

    The bandwidth is that of an exchange in which every device sends to the device with the same
    place in the node that is half of the nodes away, all at the same time. The devices have equal
    parts of the links that they share at the same distance: NICs, rails, and cables between
    switches. The first nodes of a pool represent all.

    Parameters
    ----------
    node
        Node of the pool, reached by the network of the cluster.
    stage
        Number of devices of the stage: at most those of a node, or a multiple of them.

    Raises
    ------
    LookupError
        No route leads from one node to another.
    ValueError
        A generated fabric has too few ports for the nodes.
    """
    nodes = stage // node.devices
    if nodes <= 1:
        return GroupNetwork()
    topology = Topology({f"pool/{number}": node for number in range(nodes)})
    routes = [
        topology.route(
            f"pool/{number}/device{device}",
            f"pool/{(number + nodes // 2) % nodes}/device{device}",
            device,
        )
        for number in range(nodes)
        for device in range(node.devices)
    ]
    return GroupNetwork(
        nodes,
        _device_bytes_per_s(topology, routes),
        max(route.latency_s for route in routes),
        sums_in_switch=node.network.sums_in_switch,
    )


def _device_bytes_per_s(topology: Topology, routes: list[Route]) -> float:
    """Return the bandwidth of each of some routes that are used at the same time [B/s]."""
    by_length: dict[int, list[Route]] = defaultdict(list)
    for route in routes:
        by_length[route.hops].append(route)
    return min(
        sum(map(topology.capacity, {route.edges[hop] for route in same})) / len(same)
        for hops, same in by_length.items()
        for hop in range(hops)
    )
