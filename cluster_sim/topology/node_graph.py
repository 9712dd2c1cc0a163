"""What is inside of a node: its places and links, the same for all nodes of a kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import networkx as nx

from cluster_sim.hardware.network import Link
from cluster_sim.hardware.node import Node
from cluster_sim.topology.shortest_paths import ShortestPaths

MEMORY = "memory"
"""Kind of the edge between a device and its memory, and the name of the place that the memory
is."""


class NodeGraph:
    """The places of one kind of node, called by what follows the node's name: nothing for its host,
    /device0, /device0/memory.

    An edge of its graph has a `link`, and a `share`: the part of it that is one device's, where
    there are fewer than devices.
    """

    def __init__(self, node: Node) -> None:
        self.devices = node.devices
        self.graph = nx.Graph()
        for end in dict.fromkeys(
            ["host", "device", *(end for link in node.links for end in link.between)]
        ):
            role = "wafer" if end == "device" and node.device.wafer is not None else end
            self.graph.add_nodes_from(places(node, end), role=role)
        for link in node.links:
            pairs = list(matched(places(node, link.between[0]), places(node, link.between[1])))
            self.graph.add_edges_from(pairs, link=link, share=min(len(pairs) / node.devices, 1.0))
        bus = Link.model_construct(
            between=("device", MEMORY),
            kind=MEMORY,
            bandwidth_bytes_per_s=node.device.memory.bandwidth_bytes_per_s,
            latency_s=0.0,
            duplex="half",
        )
        for device in places(node, "device"):
            self.graph.add_node(f"{device}/{MEMORY}", role=MEMORY)
            self.graph.add_edge(device, f"{device}/{MEMORY}", link=bus, share=1.0)
        self.hosts = places(node, "host")
        self.faces = (
            places(node, "nic") if any("nic" in link.between for link in node.links) else self.hosts
        )
        """Where networks meet the node: its NICs, or its hosts where it has none."""
        self.paths = ShortestPaths(self.graph, set(places(node, "device")))

        self._part = {
            place: number
            for number, part in enumerate(nx.connected_components(self.graph))
            for place in part
        }

    def part(self, place: str) -> int | None:
        """A number that places have in common between which there is a way inside; None for what is
        no place.
        """
        return self._part.get(place)


def places(node: Node, end: str) -> list[str]:
    """What an end of the node's links stands for."""
    count = node.devices if end == "device" else node.places.get(end)
    if count is None:
        return ["" if end == "host" else f"/{end}"]
    return [f"/{end}{number}" for number in range(count)]


def matched(starts: Sequence[str], ends: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs that a link joins: one with all, several with several in order, and each with each
    where they are the same.
    """
    if list(starts) == list(ends):
        yield from (
            (start, end) for number, start in enumerate(starts) for end in ends[number + 1 :]
        )
        return
    larger = max(len(starts), len(ends))
    for number in range(larger):
        yield starts[number * len(starts) // larger], ends[number * len(ends) // larger]
