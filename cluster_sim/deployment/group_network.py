"""Network between the nodes of one pipeline stage, from the topology of the cluster."""

from __future__ import annotations

from collections import defaultdict
from math import ceil, inf

from cluster_sim.hardware.node import Node
from cluster_sim.physics.replica_layout import GroupNetwork
from cluster_sim.topology import Edge, Route, Topology

_DEVICES = 144  # maximum number of devices of a node whose routes are searched


def group_network(node: Node, stage: int) -> GroupNetwork:
    """Return the network between the nodes of a stage of `stage` devices.

    The bandwidth is that of an exchange in which every device sends to the device with the same
    place in the node that is half of the nodes away, all at the same time. A device has its part of
    the NICs and rails of its node, and an equal part of the cables between switches that the routes
    take. The first nodes of a pool represent all, and of large nodes 144 devices or fewer.

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
        for device in range(0, node.devices, ceil(node.devices / _DEVICES))
    ]
    return GroupNetwork(
        nodes,
        _device_bytes_per_s(topology, routes),
        max(route.latency_s for route in routes),
        sums_in_switch=node.network.sums_in_switch,
    )


def _device_bytes_per_s(topology: Topology, routes: list[Route]) -> float:
    """Return the bandwidth of each of some routes that are used at the same time [B/s]."""
    at_node_bytes_per_s = inf
    cables: dict[tuple[int, int], list[Edge]] = defaultdict(list)  # by length of route and hop
    for route in routes:
        for hop, edge in enumerate(route.edges):
            if any(topology.node(place) is not None for place in edge):
                own_bytes_per_s = topology.part(edge) * topology.capacity(edge)
                at_node_bytes_per_s = min(at_node_bytes_per_s, own_bytes_per_s)
            else:
                cables[route.hops, hop].append(edge)
    between = (sum(map(topology.capacity, set(same))) / len(same) for same in cables.values())
    return min([at_node_bytes_per_s, *between])
