"""Nodes and links as a networkx graph: places with what they are, edges with what they carry."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import networkx as nx

from cluster_sim.hardware import Link, Network, Node
from cluster_sim.topology.fabric import cables
from cluster_sim.topology.routes import Edge, Place, Route, Routes

FRONT_DOOR = "front_door"
MEMORY = "memory"
"""Kind of the edge between a device and its memory, and the name of the place that the memory is."""


@dataclass(frozen=True)
class Way:
    """How many bytes get from one group of devices to another, each device over lanes of its own."""

    path: Route
    """Of the first device of each."""
    out_bytes_per_s: float
    """What leaves the group at once over the links of its devices and nodes."""
    in_bytes_per_s: float
    """What enters the other."""
    bytes_per_s: float
    """What gets through."""


class Topology:
    """All places of a cluster and the links between them.

    A node called `pool/0` is its host, the place of its processors; `pool/0/device0` and so on are inside, each with its memory,
    `pool/0/device0/memory`, as is every other name of the node's file, such as `pool/0/switch` or `pool/0/nic3`. Where a node
    has several hosts they are `pool/0/host0` and so on. Names of a network's own, such as a spine, are shared by its nodes.

    Raises ValueError where a generated fabric has no room for the nodes.
    """

    def __init__(self, nodes: Mapping[str, Node], network: Network | None = None) -> None:
        self.graph = nx.Graph()
        self.graph.add_node(FRONT_DOOR, node=None, role=FRONT_DOOR)
        self._nodes = dict(nodes)
        self._links: dict[Edge, Link] = {}
        self._shares: dict[Edge, float] = {}
        """Of an edge that the devices of a node share: which part of it is one device's."""
        for name, inside in _by_node(nodes):
            self._add_node(name, inside)
        networks: dict[Network, list[str]] = {}
        for name, node in nodes.items():
            networks.setdefault(network or node.network, []).append(name)
        for own, members in networks.items():
            self._add_network(own, members)
        self._routes = Routes(self._places(), self._links)

    @property
    def places(self) -> list[str]:
        """The names of all places, the front door first."""
        return list(self.graph)

    def route(self, start: str, end: str, flow: int = 0) -> Route:
        """The way with the fewest hops, of those the widest, and of equals the one that the flow's hash picks.

        The same for the same arguments in every run. Devices pass on nothing but what goes to or from their own memory. Raises
        LookupError where there is no way, or no such place.
        """
        return self._routes.route(start, end, flow)

    def choices(self, start: str, end: str) -> int:
        """From how many equally good ways a flow's hash picks. Raises LookupError as `route` does."""
        return self._routes.choices(start, end)

    def link(self, edge: Edge) -> Link:
        """What joins two neighbours. Raises KeyError where nothing does."""
        return self._links[edge]

    def capacity(self, edge: Edge) -> float:
        """What an edge carries in its direction [B/s]."""
        return self._links[edge].bandwidth_bytes_per_s

    def kind(self, edge: Edge) -> str:
        """What kind of link an edge is, such as nvlink5 or memory."""
        return self._links[edge].kind

    def resource(self, edge: Edge) -> Hashable:
        """What flows over an edge share: that direction of it, or both where it is half duplex, as a memory's bus is."""
        return edge if self._links[edge].duplex == "full" else min(edge, edge[::-1])

    def is_a_devices_own(self, edge: Edge) -> bool:
        """Whether an edge of a node is no other device's way: the edges of its devices are alike then, each for one of them."""
        return edge not in self._shares and any(self.node(place) is not None for place in edge)

    def role(self, place: str) -> str:
        """What a place is: front_door, host, device, wafer, memory, leaf, spine, or the name of a file's own without its number."""
        role: str = self.graph.nodes[place]["role"]
        return role

    def node(self, place: str) -> str | None:
        """The node that a place is inside of, None for those of a network."""
        node: str | None = self.graph.nodes[place]["node"]
        return node

    def host(self, device: str) -> str | None:
        """The nearest host of a device's node; None where no link leads to one."""
        node = self.node(device)
        routes = []
        for host in _names(node, self._nodes[node], "host") if node else ():
            try:
                routes.append(self.route(device, host))
            except LookupError:
                continue
        return min(routes, key=lambda route: route.hops).places[-1] if routes else None

    def way(self, starts: list[str], ends: list[str]) -> Way:
        """From the devices `starts` to the devices `ends`, between which there must be a way.

        The i-th sends to the i-th, over and over where one group is larger. What is a device's own it has for itself; of what it
        shares with the other devices of its node it has an even part (rails); what is outside of nodes is not divided.
        """
        lanes = [(number % len(starts), number % len(ends)) for number in range(max(len(starts), len(ends)))]
        routes = {lane: self.route(starts[lane[0]], ends[lane[1]], number) for number, lane in enumerate(lanes)}
        parts = {lane: self._parts(route) for lane, route in routes.items()}
        first = routes[lanes[0]]
        leaving = self._width([parts[lane][0] for lane in {lane[0]: lane for lane in reversed(lanes)}.values()])
        entering = self._width([parts[lane][2][::-1] for lane in {lane[1]: lane for lane in reversed(lanes)}.values()])
        leaving = entering if leaving == inf else leaving  # a link from device to device is both
        between = min((sum(map(self.capacity, set(level))) for level in _levels([parts[lane][1] for lane in lanes])), default=inf)
        return Way(first, leaving, entering, min(leaving, entering, between))

    def unreachable(self, names: list[str]) -> list[str]:
        """Those of `names` that the front door cannot reach."""
        reached = nx.node_connected_component(self.graph, FRONT_DOOR)
        return [name for name in names if name not in reached]

    def _parts(self, route: Route) -> tuple[list[Edge], list[Edge], list[Edge]]:
        """The edges of a route from device to device that are the first one's and its node's, of neither, the other's."""
        first, last = route.places[0], route.places[-1]
        out: list[Edge] = []
        between: list[Edge] = []
        into: list[Edge] = []
        for edge in route.edges:
            nodes = {self.node(place) for place in edge}
            if last in edge:
                into.append(edge)
            elif first in edge or self.node(first) in nodes:
                out.append(edge)
            else:
                (into if self.node(last) in nodes else between).append(edge)
        return out, between, into

    def _width(self, lanes: list[list[Edge]]) -> float:
        """What the lanes of a group of devices carry together, each device its part of an edge."""
        return min((sum(self._shares.get(edge, 1.0) * self.capacity(edge) for edge in level) for level in _levels(lanes)), default=inf)

    def _places(self) -> dict[str, Place]:
        """What routing knows: places that several links of a network end at, such as a host in a chain of nodes, are in everybody's way."""
        places = {}
        for place, data in self.graph.nodes(data=True):
            outside = sum(self.graph.nodes[other]["node"] != data["node"] for other in self.graph[place])
            places[place] = Place(None if outside > 1 else data["node"], data["role"] not in ("device", "wafer"))
        return places

    def _add_node(self, name: str, inside: _Inside) -> None:
        self.graph.add_nodes_from((f"{name}{place}", {"node": name, "role": role}) for place, role in inside.places)
        for start, end, link, share in inside.links:
            self._connect(name + start, name + end, link, share)

    def _add_network(self, network: Network, members: list[str]) -> None:
        faces = {name: self._faces(name) for name in members}

        def places(end: str, node: str) -> list[str]:
            if end == "node" or end in self._nodes:
                return faces[node] if end == "node" else self._faces(end)
            return [end if end == FRONT_DOOR else f"{network.name}/{end}"]

        for link in network.links:
            for node in members if "node" in link.between else members[:1]:
                pairs = list(_matched(places(link.between[0], node), places(link.between[1], node)))
                each = link.model_copy(update={"bandwidth_bytes_per_s": link.bandwidth_bytes_per_s / len(pairs)}) if len(pairs) > 1 else link
                for start, end in pairs:
                    share = min(len(pairs) / self._nodes[node].devices, 1.0) if start in faces[node] or end in faces[node] else 1.0
                    self._connect(start, end, each, share)
        if network.fabric is not None:
            for start, end, link in cables(network.fabric, list(faces.values()), network.name, FRONT_DOOR):
                inside = self.node(start) if start in self.graph else None
                self._connect(start, end, link, 1.0 if inside is None else min(len(faces[inside]) / self._nodes[inside].devices, 1.0))

    def _faces(self, name: str) -> list[str]:
        """Where networks meet a node: its NICs, or its host where it has none."""
        node = self._nodes[name]
        return _names(name, node, "nic" if any("nic" in link.between for link in node.links) else "host")

    def _connect(self, start: str, end: str, link: Link, share: float) -> None:
        for place in (start, end):
            if place not in self.graph:
                self.graph.add_node(place, node=None, role=_role(place))
        self.graph.add_edge(start, end, link=link)
        self._links[start, end] = self._links[end, start] = link
        if share < 1.0:
            self._shares[start, end] = self._shares[end, start] = share


def host_bandwidth_bytes_per_s(node: Node) -> float | None:
    """Of the way between a device and its host, one direction; None where there is none."""
    alone = Topology({"node": node}, Network(links=()))
    host = alone.host("node/device0")
    return alone.route("node/device0", host).bottleneck_bytes_per_s if host else None


@dataclass(frozen=True)
class _Inside:
    """The places and links of one kind of node, their names without the node's."""

    places: list[tuple[str, str]]
    links: list[tuple[str, str, Link, float]]


def _by_node(nodes: Mapping[str, Node]) -> Iterator[tuple[str, _Inside]]:
    """Each node with its inside, which is worked out once for all that are described by the same object."""
    known: dict[int, _Inside] = {}
    for name, node in nodes.items():
        if id(node) not in known:
            known[id(node)] = _inside(node)
        yield name, known[id(node)]


def _inside(node: Node) -> _Inside:
    is_wafer = node.device.wafer is not None
    ends = dict.fromkeys(["host", "device", *(end for link in node.links for end in link.between)])
    if "host" in node.places and not any("host" in link.between for link in node.links):
        del ends["host"]
    places = [(place, "wafer" if end == "device" and is_wafer else end) for end in ends for place in _names("", node, end)]
    links = []
    for link in node.links:
        pairs = list(_matched(_names("", node, link.between[0]), _names("", node, link.between[1])))
        links += [(start, end, link, min(len(pairs) / node.devices, 1.0)) for start, end in pairs]
    bus = Link.model_construct(
        between=("device", MEMORY), kind=MEMORY, bandwidth_bytes_per_s=node.device.memory.bandwidth_bytes_per_s, latency_s=0.0, duplex="half"
    )
    for device in _names("", node, "device"):
        places.append((f"{device}/{MEMORY}", MEMORY))
        links.append((device, f"{device}/{MEMORY}", bus, 1.0))
    return _Inside(places, links)


def _names(name: str, node: Node, end: str) -> list[str]:
    """The places that an end of a node's links stands for, in the node of this name."""
    count = node.devices if end == "device" else node.places.get(end)
    if count is None:
        return [name if end == "host" else f"{name}/{end}"]
    return [f"{name}/{end}{number}" for number in range(count)]


def _matched(starts: Sequence[str], ends: Sequence[str]) -> Iterator[Edge]:
    """Pairs that a link joins: one with all, several with several in order, and each with each where they are the same."""
    if list(starts) == list(ends):
        yield from ((start, end) for number, start in enumerate(starts) for end in ends[number + 1 :])
        return
    larger = max(len(starts), len(ends))
    for number in range(larger):
        yield starts[number * len(starts) // larger], ends[number * len(ends) // larger]


def _levels(lanes: list[list[Edge]]) -> Iterator[list[Edge]]:
    """The edges of the lanes hop by hop, as far as every lane goes."""
    return ([lane[hop] for lane in lanes] for hop in range(min(map(len, lanes))))


def _role(place: str) -> str:
    return re.sub(r"\d+$", "", place.rpartition("/")[2])
