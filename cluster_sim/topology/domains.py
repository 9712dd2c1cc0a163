"""Scale-up domains that consist of several nodes, such as an NVL72 that two pools share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import networkx as nx

from cluster_sim.hardware.node import Node
from cluster_sim.topology.node_graph import NodeGraph

NO_DOMAINS: Mapping[str, str] = MappingProxyType({})
"""Every node is a domain of its own."""

_DOMAIN = "domain "
"""Beginning of the names of vertices that join the switches of a domain."""


def join_domains(
    outside: nx.Graph, nodes: Mapping[str, NodeGraph], domains: Mapping[str, str]
) -> None:
    """Add links between the device switches of nodes in one domain.

    The switches are parts of one switch, so that the links never limit: they are as wide as all
    links of their devices, and add no latency.

    Parameters
    ----------
    outside
        Graph of everything outside of nodes.
    nodes
        Insides of the nodes by name.
    domains
        Name of the domain of each node that is a part of one.
    """
    for node, domain in domains.items():
        inside = nodes[node]
        for switch, links in inside.device_switches.items():
            width = sum(link.bandwidth_bytes_per_s for link in links)
            update = {"bandwidth_bytes_per_s": width, "latency_s": 0.0}
            joined = links[0].model_copy(update=update)
            outside.add_edge(node + switch, f"{_DOMAIN}{domain}{switch}", link=joined)


def has_device_switch(node: Node) -> bool:
    """Return whether the devices of a node are joined by a switch."""
    return bool(NodeGraph(node).device_switches)


def is_domain_link(start: str, end: str) -> bool:
    """Return whether a link joins parts of the switch of one domain."""
    return start.startswith(_DOMAIN) or end.startswith(_DOMAIN)
