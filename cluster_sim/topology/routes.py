"""Which way a flow goes: fewest hops, the widest of those, and by the flow's hash among equals.

The last is equal-cost multi-path routing (ECMP, Hopps, RFC 2992): at each switch a hash of the flow picks the next hop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from zlib import crc32

from cluster_sim.hardware import Link

Edge = tuple[str, str]
"""A link in one direction: (from, to)."""


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


@dataclass(frozen=True)
class Place:
    """What routing knows of a place."""

    node: str | None = None
    """The node that it is inside of: only ways that begin or end in that node go through it. None where any may."""
    passes: bool = True
    """Whether ways go through it: no device passes on what is not its own."""


@dataclass(slots=True)
class _Onward:
    """All ways from one place to another that are equally good: the next places from each on the way."""

    following: dict[str, tuple[str, ...]]
    seed: int
    routes: dict[tuple[str, ...], Route] = field(default_factory=dict)
    only: Route | None = None
    """Where there is no choice."""


class Routes:
    """Finds the routes of one topology, each pair of places once.

    A search looks only at what is outside of all nodes and at the two nodes that it is about, so that it costs the same in a
    large cluster as in a small one, but for the switches.
    """

    def __init__(self, places: Mapping[str, Place], links: Mapping[Edge, Link]) -> None:
        self._places, self._links = places, links
        near: defaultdict[str, defaultdict[str | None, list[str]]] = defaultdict(lambda: defaultdict(list))
        for start, end in links:
            near[start][places[end].node].append(end)
        self._near = near
        self._found: dict[Edge, _Onward] = {}

    def route(self, start: str, end: str, flow: int) -> Route:
        """The way of this flow. Raises LookupError where there is none, or no such place."""
        ways = self._found.get((start, end)) or self._search(start, end)
        if ways.only is not None:
            return ways.only
        places = self._walk(ways, start, end, flow)
        found = ways.routes.get(places)
        if found is None:
            found = ways.routes[places] = self._along(places)
        return found

    def choices(self, start: str, end: str) -> int:
        """How many equally good ways there are. Raises LookupError as `route` does."""
        ways = self._found.get((start, end)) or self._search(start, end)
        counts = {end: 1}
        for place in ways.following:  # those nearest to the end first
            counts[place] = sum(counts[other] for other in ways.following[place])
        return counts[start]

    def _along(self, places: tuple[str, ...]) -> Route:
        edges = tuple(pairwise(places))
        links = [self._links[edge] for edge in edges]
        return Route(places, edges, sum(link.latency_s for link in links), min((link.bandwidth_bytes_per_s for link in links), default=inf))

    @staticmethod
    def _walk(ways: _Onward, start: str, end: str, flow: int) -> tuple[str, ...]:
        places, place = [start], start
        while place != end:
            following = ways.following[place]
            place = following[0] if len(following) == 1 else following[_hash(ways.seed, flow, len(places)) % len(following)]
            places.append(place)
        return tuple(places)

    def _search(self, start: str, end: str) -> _Onward:
        for place in (start, end):
            if place not in self._places:
                raise LookupError(f"no place {place}")
        depth = self._depths(start, end)
        if end not in depth:
            raise LookupError(f"no way leads from {start} to {end}")
        ways = _Onward(self._back(start, end, depth), crc32(f"{start} {end}".encode()))
        if all(len(following) == 1 for following in ways.following.values()):
            ways.only = self._along(self._walk(ways, start, end, 0))
        self._found[start, end] = ways
        return ways

    def _neighbours(self, place: str, nodes: tuple[str | None, ...]) -> Iterator[str]:
        near = self._near[place]
        for node in nodes:
            yield from near.get(node, ())

    def _nodes(self, start: str, end: str) -> tuple[str | None, ...]:
        return tuple(dict.fromkeys((None, self._places[start].node, self._places[end].node)))

    def _own(self, start: str, end: str) -> set[str]:
        """What passes on for these two, whatever it is: a device what goes to or from its memory."""
        alone = ([other for others in self._near[place].values() for other in others] for place in (start, end))
        return {start, *(others[0] for others in alone if len(others) == 1)}

    def _depths(self, start: str, end: str) -> dict[str, int]:
        """Hops from `start` to every place that is no farther than `end`."""
        nodes, may_pass, depth, level = self._nodes(start, end), self._own(start, end), {start: 0}, [start]
        while level and end not in depth:
            following = []
            for place in level:
                if place in may_pass or self._places[place].passes:
                    for other in self._neighbours(place, nodes):
                        if other not in depth:
                            depth[other] = depth[place] + 1
                            following.append(other)
            level = following
        return depth

    def _back(self, start: str, end: str, depth: dict[str, int]) -> dict[str, tuple[str, ...]]:
        """From each place on a shortest way, those next on the widest of them; places nearer to `end` come first."""
        nodes, may_pass, width, level = self._nodes(start, end), self._own(start, end), {end: inf}, [end]
        onward: dict[str, tuple[str, ...]] = {}
        for hops in range(depth[end] - 1, -1, -1):
            widths: defaultdict[str, dict[str, float]] = defaultdict(dict)
            for place in level:
                for other in self._neighbours(place, nodes):
                    if depth.get(other) == hops and (other in may_pass or self._places[other].passes):
                        widths[other][place] = min(width[place], self._links[other, place].bandwidth_bytes_per_s)
            for other, by_next in widths.items():
                width[other] = max(by_next.values())
                onward[other] = tuple(place for place, wide in by_next.items() if wide == width[other])
            level = list(widths)
        return onward


def _hash(seed: int, flow: int, hop: int) -> int:
    """64 well mixed bits: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    bits = (seed + 0x9E3779B97F4A7C15 * (flow + 1) + 0xD1B54A32D192ED03 * hop) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return bits ^ bits >> 31
