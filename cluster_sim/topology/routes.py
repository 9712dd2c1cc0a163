"""Which way a flow goes: one of the best ways, picked by the flow's hash.

The last is equal-cost multi-path routing (ECMP; Hopps, RFC 2992). A way is put together of what is
inside of the first node, between the nodes, and inside of the last: parts that many pairs of places
have in common, and that are searched for once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, prod
from zlib import crc32

import networkx as nx

from cluster_sim.hardware.network import Link
from cluster_sim.topology.node_graph import NodeGraph
from cluster_sim.topology.shortest_paths import EqualPaths, ShortestPaths

Edge = tuple[str, str]
"""A link in one direction: (from, to)."""
_Part = tuple[tuple[str, ...], ...]
"""Equally good ways along a part of a route."""


@dataclass(frozen=True)
class Route:
    """A way through the topology."""

    places: tuple[str, ...]
    edges: tuple[Edge, ...]
    """From each place to the next."""
    latency_s: float
    bottleneck_bytes_per_s: float
    """Of the narrowest edge; infinite where there is none."""

    @property
    def hops(self) -> int:
        """Links on the way."""
        return len(self.edges)


@dataclass(slots=True)
class _EqualRoutes:
    """All equally good ways from one place to another."""

    seed: int
    legs: list[tuple[_Part, ...]]
    """Each leg is a way of its first part, one of its second, and so on."""
    counts: list[int] = field(init=False)
    routes: dict[int, Route] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = [prod(map(len, parts)) for parts in self.legs]

    def places(self, number: int) -> tuple[str, ...]:
        """Those of the way with this number; parts begin where the one before ends."""
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
    """Finds the routes of one topology.

    nodes: the inside of each; outside: what joins them, a graph whose edges have a `link`; link: of
    two neighbours.
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
        self._found: dict[Edge, _EqualRoutes] = {}
        self._known_doors: dict[str, list[EqualPaths]] = {}

    def route(self, start: str, end: str, flow: int) -> Route:
        """The way of this flow. Raises LookupError where there is none, or no such place."""
        choice = self._found.get((start, end)) or self._search(start, end)
        number = _hash(choice.seed, flow) % total if (total := sum(choice.counts)) > 1 else 0
        found = choice.routes.get(number)
        if found is None:
            found = choice.routes[number] = self._along(choice.places(number))
        return found

    def choices(self, start: str, end: str) -> int:
        """How many equally good ways there are. Raises LookupError as `route` does."""
        return sum((self._found.get((start, end)) or self._search(start, end)).counts)

    def _is_leaf(self, place: str) -> bool:
        """Whether a place of a node has one link to the outside, to something that is of no node:
        nobody else's way goes through it.
        """
        near = self._outside[place]
        return (
            self._node_of(place) is not None
            and len(near) == 1
            and self._node_of(next(iter(near))) is None
        )

    def _along(self, places: tuple[str, ...]) -> Route:
        edges = tuple(pairwise(places))
        links = [self._link(edge) for edge in edges]
        return Route(
            places,
            edges,
            sum(link.latency_s for link in links),
            min((link.bandwidth_bytes_per_s for link in links), default=inf),
        )

    def _search(self, start: str, end: str) -> _EqualRoutes:
        legs = self._inside(start, end) or self._outward(self._doors(start), self._doors(end))
        if not legs:
            raise LookupError(f"no way leads from {start} to {end}")
        choice = self._found[start, end] = _EqualRoutes(crc32(f"{start} {end}".encode()), legs)
        return choice

    def _inside(self, start: str, end: str) -> list[tuple[_Part, ...]]:
        """Within one node, which nothing leaves that could stay."""
        node = self._node_of(start)
        if node is None or node != self._node_of(end):
            return []
        found = self._nodes[node].paths.between(start[len(node) :], end[len(node) :])
        return [(_in(node, found.paths),)] if found else []

    def _outward(
        self, starts: Sequence[EqualPaths], ends: Sequence[EqualPaths]
    ) -> list[tuple[_Part, ...]]:
        """From one node to another, out of the best door of each."""
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
                    legs.append(
                        (first.paths, middle.paths, tuple(path[::-1] for path in last.paths))
                    )
        return legs

    def _doors(self, place: str) -> list[EqualPaths]:
        """The ways from a place to where other nodes' ways may go through, the shortest first."""
        known = self._known_doors.get(place)
        if known is None:
            known = self._known_doors[place] = sorted(
                self._find_doors(place), key=lambda door: door.hops
            )
        return known

    def _find_doors(self, place: str) -> list[EqualPaths]:
        name = self._node_of(place)
        if name is None:
            return [EqualPaths(0, inf, 0, ((place,),))] if place in self._outside else []
        inside, doors = self._nodes[name], []
        for face in inside.faces:
            found = inside.paths.between(place[len(name) :], face)
            if found is None or name + face not in self._outside:
                continue
            door = EqualPaths(
                found.hops, found.bytes_per_s, found.latency_ps, _in(name, found.paths)
            )
            if self._is_leaf(name + face):
                switch = next(iter(self._outside[name + face]))
                door = door.then(self._link((name + face, switch)), switch)
            doors.append(door)
        return doors


def _in(node: str, ways: _Part) -> _Part:
    """The same places with the name of the node."""
    return tuple(tuple(node + place for place in way) for way in ways)


def _hash(seed: int, flow: int) -> int:
    """64 well mixed bits: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    bits = (seed + 0x9E3779B97F4A7C15 * (flow + 1)) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return bits ^ bits >> 31
