"""All vertices of a cluster and the links between them, with their kinds and capacities."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from copy import copy
from functools import cached_property

import networkx as nx

from cluster_sim.hardware.network import Link, NetworkSpec
from cluster_sim.hardware.node import Node
from cluster_sim.topology.domains import NO_DOMAINS, is_domain_link, join_domains
from cluster_sim.topology.network_graph import FRONT_DOOR, network_graph
from cluster_sim.topology.node_graph import NodeGraph
from cluster_sim.topology.routes import Edge, Route, Routes


class Topology:
    """All vertices of a cluster and the links between them.

    A vertex is a host, a device, a memory, a NIC, a switch or the front door. A node called
    `pool/0` is its host, the vertex of its processors. `pool/0/device0` and so on are inside the
    node, each with its memory, `pool/0/device0/memory`. Other names of the node's file are inside
    too, such as `pool/0/switch` or `pool/0/nic3`. Several hosts of a node are `pool/0/host0` and so
    on. Names that a network defines, such as a spine, are shared by its nodes.

    Parameters
    ----------
    nodes
        Nodes by name. A name has one slash.
    network
        Network that connects all nodes. Default: that of each node.
    domains
        Name of the scale-up domain of each node that is a part of one. The device switches of its
        nodes are one switch. Default: none; each node is a domain of its own.

    Raises
    ------
    ValueError
        A generated fabric has too few ports for its nodes.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        network: NetworkSpec | None = None,
        domains: Mapping[str, str] = NO_DOMAINS,
    ) -> None:
        of_kind: dict[int, NodeGraph] = {}  # all nodes of a pool are one object
        self._nodes: dict[str, NodeGraph] = {}
        members: dict[NetworkSpec, list[str]] = {}
        for name, node in nodes.items():
            if id(node) not in of_kind:
                of_kind[id(node)] = NodeGraph(node)
            self._nodes[name] = of_kind[id(node)]
            members.setdefault(network or node.network, []).append(name)
        ports = {
            name: [name + port for port in inside.ports] for name, inside in self._nodes.items()
        }
        self._outside = network_graph(ports, members)
        join_domains(self._outside, self._nodes, domains)
        self._links: dict[Edge, Link] = {}
        self._shared_as: dict[Edge, tuple[Hashable, bool]] = {}
        self._is_even = True  # whether the edges of all devices are equal
        self._routes = Routes(self._nodes, self._outside, self.node, self.link)

    def without(self, dead: Collection[Edge]) -> Topology:
        """Return this topology without some of its links, whose devices are no longer alike.

        Routes avoid the links, and equally good routes get fewer. No edge stands for those of other
        devices any more, since each may have another bandwidth. All other questions are answered as
        if the links were there.
        """
        topology = copy(self)
        for known in ("graph", "_parts"):
            topology.__dict__.pop(known, None)
        topology._shared_as, topology._is_even = {}, False
        if dead:
            topology._outside = self._outside.copy()
            topology._outside.remove_edges_from(dead)
            inside = {node for start, end in dead if (node := self.node(start)) == self.node(end)}
            topology._nodes = self._nodes | {
                node: self._nodes[node].without(
                    (start[len(node) :], end[len(node) :])
                    for start, end in dead
                    if node == self.node(start) == self.node(end)
                )
                for node in inside
                if node is not None
            }
        topology._routes = Routes(topology._nodes, topology._outside, self.node, self.link)
        return topology

    # Vertices

    @cached_property
    def graph(self) -> nx.Graph:
        """Graph of all vertices with `role` and `node`, and of all edges with `link`."""
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
        """Yield the names of all vertices: the front door, then networks, then nodes."""
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

    def role(self, place: str) -> str:
        """Return the role of a vertex.

        It is front_door, host, device, wafer, memory, leaf, spine, or a name from a file without
        its number.
        """
        node = self.node(place)
        return (
            re.sub(r"\d+$", "", place.rpartition("/")[2])
            if node is None
            else str(self._nodes[node].graph.nodes[place[len(node) :]]["role"])
        )

    def node(self, place: str) -> str | None:
        """Return the node that contains a vertex; None for vertices of a network."""
        pool, slash, rest = place.partition("/")
        name = f"{pool}/{rest.partition('/')[0]}" if slash else pool
        return name if name in self._nodes else None

    def neighbours(self, place: str) -> Iterator[str]:
        """Yield the vertices that are one link away."""
        if place in self._outside:
            yield from self._outside[place]
        if (node := self.node(place)) is not None:
            yield from (node + near for near in self._nodes[node].graph[place[len(node) :]])

    def ports(self, place: str) -> list[str]:
        """Return the ports of a node, or those nearest to a vertex inside a node.

        A port is a vertex at which the network meets the node: a NIC, or a host without NICs. The
        result is empty for vertices of a network.
        """
        node = self.node(place)
        if node is None:
            return []
        inside = self._nodes[node]
        if place == node:
            return [node + port for port in inside.ports]
        hops = {
            port: paths.hops
            for port in inside.ports
            if (paths := inside.paths.between(place[len(node) :], port)) is not None
        }
        return [node + port for port in hops if hops[port] == min(hops.values())]

    def device_links(self, node: str) -> Iterator[Edge]:
        """Yield both ends of each link of a node that joins devices, or devices and a switch.

        The collectives of the devices cross these links.
        """
        for start, end in self._nodes[node].device_links:
            yield node + start, node + end

    def network_links(self) -> Iterator[Edge]:
        """Yield both ends of each link outside the nodes, but for the links of the front door.

        The end at a node is the first.
        """
        for start, end in self._outside.edges:
            if FRONT_DOOR not in (start, end) and not is_domain_link(start, end):
                is_turned = self.node(start) is None and self.node(end) is not None
                yield (end, start) if is_turned else (start, end)

    def host(self, device: str) -> str | None:
        """Return the nearest host in a device's node; None if no link leads to one."""
        node = self.node(device)
        if node is None:
            return None
        inside = self._nodes[node]
        hosts = [
            (paths.hops, host)
            for host in inside.hosts
            if (paths := inside.paths.between(device[len(node) :], host))
        ]
        return node + min(hosts, key=lambda host: host[0])[1] if hosts else None

    def unreachable(self, names: list[str]) -> list[str]:
        """Return the names in `names` that the front door cannot reach."""
        joined = self._outside.copy()
        for name, inside in self._nodes.items():
            joined.add_edges_from(
                (name + port, (name, inside.component(port))) for port in inside.ports
            )
        reached = nx.node_connected_component(joined, FRONT_DOOR)
        return [
            name
            for name in names
            if (node := self.node(name)) is None
            or (node, self._nodes[node].component(name[len(node) :])) not in reached
        ]

    @cached_property
    def _parts(self) -> dict[str, int]:
        """Number of the connected part of the network that contains each vertex outside nodes."""
        return {
            place: number
            for number, part in enumerate(nx.connected_components(self._outside))
            for place in part
        }

    def parts_reached(self, place: str) -> frozenset[int]:
        """Return the numbers of the connected parts of the network that routes from a vertex reach.

        A route leads between two vertices with a common part. Vertices without one may still have a
        route inside their node.
        """
        node = self.node(place)
        if node is None:
            return frozenset({self._parts[place]})
        inside = self._nodes[node]
        return frozenset(
            self._parts[node + port]
            for port in inside.ports
            if node + port in self._parts
            and inside.paths.between(place[len(node) :], port) is not None
        )

    # Routes

    def route(self, start: str, end: str, flow: int = 0) -> Route:
        """Return the route of a flow: fewest hops, then highest bandwidth, then lowest latency.

        Devices forward only what goes to or from their own memory.

        Parameters
        ----------
        start, end
            Names of two vertices, such as `front_door` and `pool/0/device3`.
        flow
            Number of the flow. Its hash picks one of equally good routes, identical in every run.

        Raises
        ------
        LookupError
            No route leads from `start` to `end`, or there is no such vertex.
        """
        return self._routes.route(start, end, flow)

    def route_along(self, places: tuple[str, ...]) -> Route:
        """Return the route over these vertices, each of which is one link from the next."""
        return self._routes.along(places)

    def choices(self, start: str, end: str) -> int:
        """Return the number of equally good routes from which the hash of a flow picks.

        Raises
        ------
        LookupError
            No route leads from `start` to `end`, or there is no such vertex.
        """
        return self._routes.choices(start, end)

    # Edges

    def link(self, edge: Edge) -> Link:
        """Return the link that joins two neighbours. Raise KeyError if there is none."""
        link = self._links.get(edge)
        if link is None:
            link = self._links[edge] = self._data(edge)["link"]
        return link

    def capacity(self, edge: Edge) -> float:
        """Return the bandwidth of an edge in its direction [B/s]."""
        return self.link(edge).bandwidth_bytes_per_s

    def kind(self, edge: Edge) -> str:
        """Return the kind of link of an edge, such as nvlink5 or memory."""
        return self.link(edge).kind

    def resource(self, edge: Edge) -> Hashable:
        """Return the resource that flows over an edge share.

        It is one direction of the edge, or both directions if the edge is half duplex, like the bus
        of a memory.
        """
        return edge if self.link(edge).duplex == "full" else min(edge, edge[::-1])

    def shared_as(self, edge: Edge) -> tuple[Hashable, bool]:
        """Return the edge's `resource`, and whether it belongs to one device.

        An edge that belongs to one device is in or at a node and on no other device's route, so
        that the edges of all devices are equal.
        """
        known = self._shared_as.get(edge)
        if known is None:
            is_own = (
                self._is_even
                and any(self.node(place) is not None for place in edge)
                and self.part(edge) == 1.0
            )
            known = self._shared_as[edge] = self.resource(edge), is_own
        return known

    def part(self, edge: Edge) -> float:
        """Return the part of an edge in or at a node that belongs to one device.

        If there are fewer such edges than devices, the devices have equal parts.
        """
        start, end = edge
        node = self.node(start) or self.node(end)
        if node is None:
            return 1.0
        inside = self._nodes[node]
        if edge in self._outside.edges:
            return min(len(inside.ports) / inside.devices, 1.0)
        share: float = inside.graph.edges[start[len(node) :], end[len(node) :]]["share"]
        return share

    def _data(self, edge: Edge) -> dict[str, Link]:
        start, end = edge
        data: dict[str, Link] | None = self._outside.get_edge_data(start, end)
        if data is None and (node := self.node(start)) is not None and node == self.node(end):
            data = self._nodes[node].graph.get_edge_data(start[len(node) :], end[len(node) :])
        if data is None:
            raise KeyError(edge)
        return data


def host_bandwidth_bytes_per_s(node: Node) -> float | None:
    """Return the bandwidth between a device and its host in one direction; None without a host."""
    alone = Topology({"pool/0": node}, NetworkSpec(links=()))
    host = alone.host("pool/0/device0")
    return alone.route("pool/0/device0", host).bottleneck_bytes_per_s if host else None
