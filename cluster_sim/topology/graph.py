"""A cluster's nodes and networks as places and edges, with what each is and carries."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

import networkx as nx

from cluster_sim.hardware.network import Link, NetworkSpec
from cluster_sim.hardware.node import Node
from cluster_sim.topology.clos import cables
from cluster_sim.topology.node_graph import NodeGraph, matched
from cluster_sim.topology.routes import Edge, Route, Routes

FRONT_DOOR = "front_door"


@dataclass(frozen=True)
class GroupPath:
    """How many bytes get from one group of devices to another, each device over lanes of its own."""

    route: Route
    """Of the first device of each."""
    out_bytes_per_s: float
    """What leaves the group at once over the links of its devices and nodes."""
    in_bytes_per_s: float
    """What enters the other."""
    bytes_per_s: float
    """What gets through."""


class Topology:
    """All places of a cluster and the links between them.

    A node called `pool/0` is its host, the place of its processors; `pool/0/device0` and so on are
    inside, each with its memory, `pool/0/device0/memory`, as is every other name of the node's
    file, such as `pool/0/switch` or `pool/0/nic3`. Where a node has several hosts they are
    `pool/0/host0` and so on. Names of a network's own, such as a spine, are shared by its nodes.

    Names of nodes have one slash. Raises ValueError where a generated fabric has no room for the
    nodes.
    """

    def __init__(self, nodes: Mapping[str, Node], network: NetworkSpec | None = None) -> None:
        insides: dict[int, NodeGraph] = {}  # nodes of a pool are one object
        self._nodes: dict[str, NodeGraph] = {}
        for name, node in nodes.items():
            if id(node) not in insides:
                insides[id(node)] = NodeGraph(node)
            self._nodes[name] = insides[id(node)]
        self._outside = nx.Graph()
        self._outside.add_node(FRONT_DOOR)
        members: dict[NetworkSpec, list[str]] = {}
        for name, node in nodes.items():
            members.setdefault(network or node.network, []).append(name)
        for one, names in members.items():
            self._add_links(one, names)
            if one.fabric is not None:
                self._outside.add_edges_from(
                    (start, end, {"link": link})
                    for start, end, link in cables(
                        one.fabric, self._faces(names), one.name, FRONT_DOOR
                    )
                )
        self._links: dict[Edge, Link] = {}
        self._shared_as: dict[Edge, tuple[Hashable, bool]] = {}
        self._routes = Routes(self._nodes, self._outside, self.node, self.link)

    @cached_property
    def graph(self) -> nx.Graph:
        """All of it: places with `role` and `node`, edges with `link`."""
        whole = nx.Graph()
        whole.add_nodes_from(
            (place, {"role": self.role(place), "node": self.node(place)}) for place in self.places()
        )
        for name, inside in self._nodes.items():
            whole.add_edges_from(
                (name + start, name + end, {"link": link})
                for start, end, link in inside.graph.edges(data="link")
            )
        whole.add_edges_from(self._outside.edges(data=True))
        return whole

    def places(self) -> Iterator[str]:
        """The names of all places, the front door first, then networks, then nodes."""
        yield from (place for place in self._outside if self.node(place) is None)
        for name, inside in self._nodes.items():
            yield from (name + place for place in inside.graph)

    def __contains__(self, place: str) -> bool:
        node = self.node(place)
        return (
            place in self._outside
            if node is None
            else place[len(node) :] in self._nodes[node].graph
        )

    def route(self, start: str, end: str, flow: int = 0) -> Route:
        """The way with the fewest hops, of those the widest, of those the quickest, and of equals
        the one that the flow's hash picks.

        The same for the same arguments in every run. Devices pass on nothing but what goes to or
        from their own memory. Raises LookupError where there is no way, or no such place.
        """
        return self._routes.route(start, end, flow)

    def choices(self, start: str, end: str) -> int:
        """From how many equally good ways a flow's hash picks. Raises LookupError as `route` does."""
        return self._routes.choices(start, end)

    def link(self, edge: Edge) -> Link:
        """What joins two neighbours. Raises KeyError where nothing does."""
        link = self._links.get(edge)
        if link is None:
            link = self._links[edge] = self._data(edge)["link"]
        return link

    def capacity(self, edge: Edge) -> float:
        """What an edge carries in its direction [B/s]."""
        return self.link(edge).bandwidth_bytes_per_s

    def kind(self, edge: Edge) -> str:
        """What kind of link an edge is, such as nvlink5 or memory."""
        return self.link(edge).kind

    def resource(self, edge: Edge) -> Hashable:
        """What flows over an edge share: that direction of it, or both where it is half duplex, as
        a memory's bus is.
        """
        return edge if self.link(edge).duplex == "full" else min(edge, edge[::-1])

    def shared_as(self, edge: Edge) -> tuple[Hashable, bool]:
        """(its `resource`, whether it is a device's own: in or at a node, but no other device's
        way, so that those of all are alike).
        """
        known = self._shared_as.get(edge)
        if known is None:
            is_own = any(self.node(place) is not None for place in edge) and self.part(edge) == 1.0
            known = self._shared_as[edge] = self.resource(edge), is_own
        return known

    def role(self, place: str) -> str:
        """What a place is: front_door, host, device, wafer, memory, leaf, spine, or the name of a
        file's own without its number.
        """
        node = self.node(place)
        return (
            re.sub(r"\d+$", "", place.rpartition("/")[2])
            if node is None
            else str(self._nodes[node].graph.nodes[place[len(node) :]]["role"])
        )

    def node(self, place: str) -> str | None:
        """The node that a place is inside of, None for those of a network."""
        pool, slash, rest = place.partition("/")
        name = f"{pool}/{rest.partition('/')[0]}" if slash else pool
        return name if name in self._nodes else None

    def neighbours(self, place: str) -> Iterator[str]:
        """The places that are one link away."""
        if place in self._outside:
            yield from self._outside[place]
        if (node := self.node(place)) is not None:
            yield from (node + other for other in self._nodes[node].graph[place[len(node) :]])

    def host(self, device: str) -> str | None:
        """The nearest host in a device's node; None where no link leads to one."""
        node = self.node(device)
        if node is None:
            return None
        inside = self._nodes[node]
        found = [
            (ways.hops, host)
            for host in inside.hosts
            if (ways := inside.paths.between(device[len(node) :], host))
        ]
        return node + min(found, key=lambda one: one[0])[1] if found else None

    def group_path(self, starts: list[str], ends: list[str]) -> GroupPath:
        """From the devices `starts` to the devices `ends`, between which there must be a way.

        The i-th sends to the i-th, over and over where one group is larger. What is a device's own
        it has for itself; of what it shares with the other devices of its node it has an even part
        (rails); what is outside of nodes is not divided.
        """
        lanes = [
            (number % len(starts), number % len(ends))
            for number in range(max(len(starts), len(ends)))
        ]
        routes = [
            self.route(starts[first], ends[last], number)
            for number, (first, last) in enumerate(lanes)
        ]
        parts = [self._parts(route) for route in routes]
        # Lanes of one device follow each other by turns: the first ones are one of each.
        leaving = self._width([out for out, _, _ in parts[: len(starts)]])
        entering = self._width([into[::-1] for _, _, into in parts[: len(ends)]])
        leaving = entering if leaving == inf else leaving  # a link from device to device is both
        between = min(
            (
                sum(map(self.capacity, set(level)))
                for level in _levels([middle for _, middle, _ in parts])
            ),
            default=inf,
        )
        return GroupPath(routes[0], leaving, entering, min(leaving, entering, between))

    def unreachable(self, names: list[str]) -> list[str]:
        """Those of `names` that the front door cannot reach."""
        parts = self._outside.copy()
        for name, inside in self._nodes.items():
            parts.add_edges_from((name + face, (name, inside.part(face))) for face in inside.faces)
        reached = nx.node_connected_component(parts, FRONT_DOOR)
        return [
            name
            for name in names
            if (node := self.node(name)) is None
            or (node, self._nodes[node].part(name[len(node) :])) not in reached
        ]

    def _data(self, edge: Edge) -> dict[str, Link]:
        start, end = edge
        data: dict[str, Link] | None = self._outside.get_edge_data(start, end)
        if data is None and (node := self.node(start)) is not None and node == self.node(end):
            data = self._nodes[node].graph.get_edge_data(start[len(node) :], end[len(node) :])
        if data is None:
            raise KeyError(edge)
        return data

    def part(self, edge: Edge) -> float:
        """The part of an edge in or at a node that is one device's: an even one where there are
        fewer such edges than devices.
        """
        start, end = edge
        node = self.node(start) or self.node(end)
        if node is None:
            return 1.0
        inside = self._nodes[node]
        if edge in self._outside.edges:
            return min(len(inside.faces) / inside.devices, 1.0)
        share: float = inside.graph.edges[start[len(node) :], end[len(node) :]]["share"]
        return share

    def _parts(self, route: Route) -> tuple[list[Edge], list[Edge], list[Edge]]:
        """The edges of a route from device to device that are the first one's and its node's, of
        neither, the other's.
        """
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
        return min(
            (
                sum(self.part(edge) * self.capacity(edge) for edge in level)
                for level in _levels(lanes)
            ),
            default=inf,
        )

    def _faces(self, names: list[str]) -> list[list[str]]:
        return [[name + face for face in self._nodes[name].faces] for name in names]

    def _add_links(self, network: NetworkSpec, members: list[str]) -> None:
        """The links that are written out."""

        def places(end: str, node: str) -> list[str]:
            if end == "node" or end in self._nodes:
                return self._faces([node if end == "node" else end])[0]
            return [end if end == FRONT_DOOR else f"{network.name}/{end}"]

        for link in network.links:
            split: dict[int, Link] = {1: link}
            for node in members if "node" in link.between else members[:1]:
                pairs = list(matched(places(link.between[0], node), places(link.between[1], node)))
                if len(pairs) not in split:
                    split[len(pairs)] = link.model_copy(
                        update={
                            "bandwidth_bytes_per_s": link.bandwidth_bytes_per_s / max(len(pairs), 1)
                        }
                    )
                self._outside.add_edges_from(pairs, link=split[len(pairs)])


def host_bandwidth_bytes_per_s(node: Node) -> float | None:
    """Of the way between a device and its host, one direction; None where there is none."""
    alone = Topology({"pool/0": node}, NetworkSpec(links=()))
    host = alone.host("pool/0/device0")
    return alone.route("pool/0/device0", host).bottleneck_bytes_per_s if host else None


def _levels(lanes: list[list[Edge]]) -> Iterator[list[Edge]]:
    """The edges of the lanes hop by hop, as far as every lane goes."""
    return ([lane[hop] for lane in lanes] for hop in range(min(map(len, lanes))))
