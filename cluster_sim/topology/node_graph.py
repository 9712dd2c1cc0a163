"""Vertices and links inside one kind of node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy

import networkx as nx

from cluster_sim.hardware.network import Link
from cluster_sim.hardware.node import Node
from cluster_sim.topology.shortest_paths import ShortestPaths

MEMORY = "memory"
"""Kind of the edge between a device and its memory, and name of the memory's vertex."""


class NodeGraph:
    """Vertices and links inside one kind of node, which all nodes of that kind share.

    The name of a vertex is the part after the node's name: nothing for its host, /device0,
    /device0/memory. An edge of the graph has a `link` and a `share`: the part of it that belongs to
    one device if there are fewer edges than devices.
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
        has_nics = any("nic" in link.between for link in node.links)
        self.ports = places(node, "nic") if has_nics else self.hosts
        """Vertices at which networks meet the node: its NICs, or its hosts if it has no NIC."""
        self._device_places = set(places(node, "device"))
        self._find_paths()

    def _find_paths(self) -> None:
        self.paths = ShortestPaths(self.graph, self._device_places)
        self._component = {
            place: number
            for number, component in enumerate(nx.connected_components(self.graph))
            for place in component
        }

    def without(self, dead: Iterable[tuple[str, str]]) -> NodeGraph:
        """Return this graph without some of its edges."""
        inside = copy(self)
        inside.graph = self.graph.copy()
        inside.graph.remove_edges_from(dead)
        inside._find_paths()
        return inside

    @property
    def device_links(self) -> list[tuple[str, str]]:
        """Both ends of each link that joins two devices, or a device and a switch."""
        return [
            (start, end)
            for start, end in self.graph.edges
            if {start, end} & self._device_places
            and {self._joins_devices(start), self._joins_devices(end)} == {True}
        ]

    @property
    def device_switches(self) -> dict[str, list[Link]]:
        """Links of the devices to each switch that joins them."""
        switches: dict[str, list[Link]] = {}
        for edge in self.device_links:
            for place in set(edge) - self._device_places:
                switches.setdefault(place, []).append(self.graph.edges[edge]["link"])
        return switches

    def _joins_devices(self, place: str) -> bool:
        """Return whether a vertex is a device, or a switch of devices."""
        return place in self._device_places or self.graph.nodes[place]["role"] == "switch"

    def component(self, place: str) -> int | None:
        """Return the number that connected vertices share; None for an unknown name."""
        return self._component.get(place)


def places(node: Node, end: str) -> list[str]:
    """Return the vertices for an end of the node's links."""
    count = node.devices if end == "device" else node.places.get(end)
    if count is None:
        return ["" if end == "host" else f"/{end}"]
    return [f"/{end}{number}" for number in range(count)]


def matched(starts: Sequence[str], ends: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of vertices that a link joins.

    One vertex is joined with all, several are joined with several in order, and all pairs are
    joined if both ends are the same.

    >>> list(matched(["a"], ["x", "y"])), list(matched(["a", "b"], ["x", "y"]))
    ([('a', 'x'), ('a', 'y')], [('a', 'x'), ('b', 'y')])
    """
    if list(starts) == list(ends):
        yield from (
            (start, end) for number, start in enumerate(starts) for end in ends[number + 1 :]
        )
        return
    larger = max(len(starts), len(ends))
    for number in range(larger):
        yield starts[number * len(starts) // larger], ends[number * len(ends) // larger]
