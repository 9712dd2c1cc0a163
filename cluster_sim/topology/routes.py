"""Routes of flows: one of the best paths, picked by the hash of the flow.

The pick is equal-cost multi-path routing (ECMP; Hopps, RFC 2992). A route consists of a path inside
the first node, a path between the nodes, and a path inside the last node. Many pairs of vertices
share these parts, and each part is searched once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, prod
from zlib import crc32

import networkx as nx

from cluster_sim.hardware.network import Link
from cluster_sim.topology.domains import is_domain_link
from cluster_sim.topology.node_graph import NodeGraph
from cluster_sim.topology.shortest_paths import EqualPaths, ShortestPaths

Edge = tuple[str, str]
"""A link in one direction: (from, to)."""
_KEPT = 32_768
"""Number of pairs of vertices from which known routes are forgotten, to bound the memory."""
_Part = tuple[tuple[str, ...], ...]
"""Equally good paths along one part of a route."""


@dataclass(frozen=True)
class Route:
    """A path through the topology."""

    places: tuple[str, ...]
    edges: tuple[Edge, ...]
    """Edges from each vertex to the next."""
    latency_s: float
    bottleneck_bytes_per_s: float
    """Bandwidth of the narrowest edge [B/s]; infinite without edges."""

    @property
    def hops(self) -> int:
        """Number of links on the route."""
        return len(self.edges)


@dataclass(slots=True)
class _EqualRoutes:
    """All equally good routes from one vertex to another."""

    seed: int
    legs: list[tuple[_Part, ...]]
    """Sets of routes. A route of a leg takes one path of its first part, one of its second part,
    and so on."""
    counts: list[int] = field(init=False)
    routes: dict[int, Route] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = [prod(map(len, parts)) for parts in self.legs]

    def places(self, number: int) -> tuple[str, ...]:
        """Return the vertices of the route with this number, part by part."""
        leg = 0
        while number >= self.counts[leg]:
            number -= self.counts[leg]
            leg += 1
        places: tuple[str, ...] = ()
        for part in self.legs[leg]:
            number, which = divmod(number, len(part))
            places += part[which][1 if places else 0 :]
        return places


class Routes:
    """Search for the routes of one topology.

    Parameters
    ----------
    nodes
        Graph of the inside of each node by name.
    outside
        Graph of the network between the nodes. Its edges have a `link`.
    node_of
        Node that contains a vertex; None for vertices of a network.
    link
        Link that joins two neighbours.
    """

    def __init__(
        self,
        nodes: Mapping[str, NodeGraph],
        outside: nx.Graph,
        node_of: Callable[[str], str | None],
        link: Callable[[Edge], Link],
    ) -> None:
        self._nodes, self._outside, self._node_of, self._link = nodes, outside, node_of, link
        self._between = ShortestPaths(
            outside.subgraph([place for place in outside if not self._is_leaf(place)])
        )
        self._known: dict[Edge, _EqualRoutes] = {}
        self._has_domains = any(is_domain_link(*edge) for edge in outside.edges)
        self._known_exits: dict[str, list[EqualPaths]] = {}

    def route(self, start: str, end: str, flow: int) -> Route:
        """Return the route of this flow. Raise LookupError if there is none."""
        equal = self._known.get((start, end)) or self._search(start, end)
        number = _hash(equal.seed, flow) % total if (total := sum(equal.counts)) > 1 else 0
        route = equal.routes.get(number)
        if route is None:
            route = equal.routes[number] = self.along(equal.places(number))
        return route

    def choices(self, start: str, end: str) -> int:
        """Return the number of equally good routes. Raise LookupError if there is none."""
        return sum((self._known.get((start, end)) or self._search(start, end)).counts)

    def _is_leaf(self, place: str) -> bool:
        """Return whether the routes of other vertices never go through this one.

        Such a vertex belongs to a node and has one link to the outside, to a vertex of no node.
        """
        near = self._outside[place]
        return (
            self._node_of(place) is not None
            and len(near) == 1
            and self._node_of(next(iter(near))) is None
        )

    def along(self, places: tuple[str, ...]) -> Route:
        """Return the route over these vertices."""
        edges = tuple(pairwise(places))
        links = [self._link(edge) for edge in edges]
        return Route(
            places,
            edges,
            sum(link.latency_s for link in links),
            min((link.bandwidth_bytes_per_s for link in links), default=inf),
        )

    def _search(self, start: str, end: str) -> _EqualRoutes:
        legs = self._inside(start, end) or self._outward(self._exits(start), self._exits(end))
        if not legs:
            raise LookupError(f"no route leads from {start} to {end}")
        if len(self._known) >= _KEPT:
            self._known.clear()
        equal = self._known[start, end] = _EqualRoutes(crc32(f"{start} {end}".encode()), legs)
        return equal

    def _inside(self, start: str, end: str) -> list[tuple[_Part, ...]]:
        """Return the legs within one node. A route that can stay inside does not leave the node."""
        node = self._node_of(start)
        if node is None or node != self._node_of(end):
            return []
        inside = self._nodes[node].paths.between(start[len(node) :], end[len(node) :])
        return [(_in(node, inside.paths),)] if inside else []

    def _outward(
        self, starts: Sequence[EqualPaths], ends: Sequence[EqualPaths]
    ) -> list[tuple[_Part, ...]]:
        """Return the legs from one node to another over the best pairs of exits."""
        best: tuple[float, float, int] = (inf, 0.0, 0)
        legs: list[tuple[_Part, ...]] = []
        for first in starts:
            for last in ends:
                if first.hops + last.hops > best[0]:
                    continue
                middle = self._between.between(first.paths[0][-1], last.paths[0][-1])
                if middle is None:
                    continue
                narrow = -min(first.bytes_per_s, middle.bytes_per_s, last.bytes_per_s)
                cost = (
                    first.hops + middle.hops + last.hops,
                    narrow,
                    first.latency_ps + middle.latency_ps + last.latency_ps,
                )
                if cost < best:
                    best, legs = cost, []
                if cost == best:
                    backwards = tuple(path[::-1] for path in last.paths)
                    legs.append((first.paths, middle.paths, backwards))
        return legs

    def _exits(self, place: str) -> list[EqualPaths]:
        """Return the paths from a vertex to the possible exits of its node, shortest first."""
        known = self._known_exits.get(place)
        if known is None:
            known = self._known_exits[place] = sorted(
                self._find_exits(place), key=lambda paths: paths.hops
            )
        return known

    def _domain_ports(self, name: str) -> list[str]:
        """Return the switches by which a node is a part of a scale-up domain."""
        if not self._has_domains:
            return []
        switches = self._nodes[name].device_switches
        return [switch for switch in switches if name + switch in self._outside]

    def _find_exits(self, place: str) -> list[EqualPaths]:
        name = self._node_of(place)
        if name is None:
            return [EqualPaths(0, inf, 0, ((place,),))] if place in self._outside else []
        inside, exits = self._nodes[name], []
        for port in (*inside.ports, *self._domain_ports(name)):
            paths = inside.paths.between(place[len(name) :], port)
            if paths is None or name + port not in self._outside:
                continue
            exit_paths = EqualPaths(
                paths.hops, paths.bytes_per_s, paths.latency_ps, _in(name, paths.paths)
            )
            if self._is_leaf(name + port):
                switch = next(iter(self._outside[name + port]))
                exit_paths = exit_paths.then(self._link((name + port, switch)), switch)
            exits.append(exit_paths)
        return exits


def _in(node: str, paths: _Part) -> _Part:
    """Return the paths with the name of the node in front of each vertex."""
    return tuple(tuple(node + place for place in path) for path in paths)


def _hash(seed: int, flow: int) -> int:
    """Return 64 well mixed bits: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    bits = (seed + 0x9E3779B97F4A7C15 * (flow + 1)) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return bits ^ bits >> 31
