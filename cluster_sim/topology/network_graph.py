"""Vertices and links between nodes: the front door, switches, and the ports of nodes."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx

from cluster_sim.hardware.network import Link, NetworkSpec
from cluster_sim.topology.clos import cables
from cluster_sim.topology.node_graph import matched

FRONT_DOOR = "front_door"
"""Vertex at which requests enter and answers leave."""


def network_graph(
    ports: Mapping[str, list[str]], members: Mapping[NetworkSpec, list[str]]
) -> nx.Graph:
    """Return the graph of everything outside of nodes. Its edges have a `link`.

    Parameters
    ----------
    ports
        Vertices at which each node meets its network, by the node's name.
    members
        Names of the nodes that each network connects.

    Raises
    ------
    ValueError
        A generated fabric has too few ports for its nodes.
    """
    graph = nx.Graph()
    graph.add_node(FRONT_DOOR)
    for network, names in members.items():
        _add_links(graph, network, names, ports)
        if network.fabric is not None:
            graph.add_edges_from(
                (start, end, {"link": link})
                for start, end, link in cables(
                    network.fabric, [ports[name] for name in names], network.name, FRONT_DOOR
                )
            )
    return graph


def _add_links(
    graph: nx.Graph, network: NetworkSpec, members: list[str], ports: Mapping[str, list[str]]
) -> None:
    """Add the links of `network` that are written one by one."""

    def places(end: str, node: str) -> list[str]:
        if end == "node" or end in ports:
            return ports[node if end == "node" else end]
        return [end if end == FRONT_DOOR else f"{network.name}/{end}"]

    for link in network.links:
        split: dict[int, Link] = {1: link}
        for node in members if "node" in link.between else members[:1]:
            pairs = list(matched(places(link.between[0], node), places(link.between[1], node)))
            if len(pairs) not in split:
                bandwidth = link.bandwidth_bytes_per_s / max(len(pairs), 1)
                split[len(pairs)] = link.model_copy(update={"bandwidth_bytes_per_s": bandwidth})
            graph.add_edges_from(pairs, link=split[len(pairs)])
