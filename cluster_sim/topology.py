"""Nodes and links as a networkx graph: which way a message goes, how many hops it takes and how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from cluster_sim.hardware import Link, Network, Node

FRONT_DOOR = "front_door"


@dataclass(frozen=True)
class Path:
    """A way through the topology."""

    places: tuple[str, ...]
    latency_s: float
    bottleneck_bytes_per_s: float

    @property
    def hops(self) -> int:
        """Links on the way."""
        return len(self.places) - 1


@dataclass(frozen=True)
class Way:
    """How many bytes get from one group of devices to another, each device over lanes of its own."""

    path: Path
    """Of the first device of each."""
    out_bytes_per_s: float
    """What leaves the group at once over the links of its devices and nodes."""
    in_bytes_per_s: float
    """What enters the other."""
    bytes_per_s: float
    """What gets through."""


class Topology:
    """All places of a cluster and the links between them.

    A node called `pool/0` is its host, the place where the network meets it; `pool/0/device0` and so on are inside, as is
    every other name of its file, such as `pool/0/switch`. Names of a network's own, such as a spine, are shared by its nodes.
    """

    def __init__(self, nodes: Mapping[str, Node], network: Network | None = None) -> None:
        self.graph = nx.Graph()
        self._devices = {name: node.devices for name, node in nodes.items()}
        self.graph.add_node(FRONT_DOOR)
        for name, node in nodes.items():
            self.graph.add_node(name)
            for number in range(node.devices):
                self.graph.add_node(f"{name}/device{number}")
            self._add_node_links(name, node)
        for name, node in nodes.items():
            self._add_network(network or node.network, name, list(nodes))

    def path(self, start: str, end: str) -> Path | None:
        """The way with the fewest hops, None where there is none."""
        try:
            places = nx.shortest_path(self.graph, start, end)
        except (nx.NetworkXNoPath, nx.NodeNotFound):
            return None
        links = [self.graph.edges[pair]["link"] for pair in pairwise(places)]
        narrowest = min((link.bandwidth_bytes_per_s for link in links), default=float("inf"))
        return Path(tuple(places), sum(link.latency_s for link in links), narrowest)

    def way(self, starts: list[str], ends: list[str]) -> Way:
        """From the devices `starts` to the devices `ends`, between which there must be a way.

        Of the ways with the fewest hops the widest: within a node over its switch, not its host. A device has its links for
        itself; a link of a node is taken for as many ports as it has devices, one for each (rails); others are not divided.
        """
        graph = self.graph

        def links(places: list[str]) -> list[Link]:
            return [graph.edges[pair]["link"] for pair in pairwise(places)]

        def width(places: list[str]) -> float:
            return min(link.bandwidth_bytes_per_s for link in links(places))

        places = max(nx.all_shortest_paths(graph, starts[0], ends[0]), key=width)
        sides: dict[str, list[float]] = {"out": [], "in": [], "between": []}
        for pair, link in zip(pairwise(places), links(places), strict=True):
            side, share = "between", 1.0
            for which, device, group in (("out", starts[0], starts), ("in", ends[0], ends)):
                node = device.rpartition("/")[0]
                if device in pair:
                    side, share = which, len(group)
                elif side == "between" and any(place == node or place.startswith(f"{node}/") for place in pair):
                    side, share = which, len(group) / self._devices[node]
            sides[side].append(share * link.bandwidth_bytes_per_s)
        path = Path(tuple(places), sum(link.latency_s for link in links(places)), width(places))
        entering = min(sides["in"])
        leaving = min(sides["out"], default=entering)  # a link from device to device is both
        return Way(path, leaving, entering, min(leaving, entering, *sides["between"]))

    def unreachable(self, names: list[str]) -> list[str]:
        """Those of `names` that the front door cannot reach."""
        reached = nx.node_connected_component(self.graph, FRONT_DOOR)
        return [name for name in names if name not in reached]

    def _add_node_links(self, name: str, node: Node) -> None:
        def places(end: str) -> list[str]:
            if end == "host":
                return [name]
            return [f"{name}/device{number}" for number in range(node.devices)] if end == "device" else [f"{name}/{end}"]

        for link in node.links:
            self._connect(places(link.between[0]), places(link.between[1]), link)

    def _add_network(self, network: Network, node: str, nodes: list[str]) -> None:
        def place(end: str) -> str:
            return node if end == "node" else end if end == FRONT_DOOR or end in nodes else f"{network.name}/{end}"

        for link in network.links:
            self._connect([place(link.between[0])], [place(link.between[1])], link)

    def _connect(self, starts: list[str], ends: list[str], link: Link) -> None:
        for start in starts:
            for end in ends:
                if start != end:
                    self.graph.add_edge(start, end, link=link)
