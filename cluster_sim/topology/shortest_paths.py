"""The best ways between two places of a graph: fewest hops, of those the widest, of those the
quickest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from math import inf

import networkx as nx

from cluster_sim.hardware.network import Link

_MOST = 256
"""Equally good ways that are told apart, more than any switch has ports to the next tier."""
_PER_S = 1e12
"""Latencies are compared in whole picoseconds: sums in another order are equal."""


@dataclass(frozen=True, slots=True)
class EqualPaths:
    """Ways between two places that are equally good."""

    hops: int
    bytes_per_s: float
    """Of the narrowest link; infinite without one."""
    latency_ps: int
    paths: tuple[tuple[str, ...], ...]
    """The places of each, both ends included."""

    def then(self, link: Link, place: str) -> EqualPaths:
        """All of them one link longer."""
        ways = tuple((*way, place) for way in self.paths)
        return EqualPaths(
            self.hops + 1,
            min(self.bytes_per_s, link.bandwidth_bytes_per_s),
            self.latency_ps + _ps(link),
            ways,
        )


class ShortestPaths:
    """Of a graph whose edges have a `link`: each pair of places is searched for once.

    ends: places that pass nothing on but what is their only neighbour's, as devices do for their
    memory.
    """

    def __init__(self, graph: nx.Graph, ends: Collection[str] = ()) -> None:
        self._near: dict[str, list[str]] = {place: list(graph[place]) for place in graph}
        self._links: dict[tuple[str, str], Link] = {}
        for start, end, link in graph.edges(data="link"):
            self._links[start, end] = self._links[end, start] = link
        self._ends = ends
        self._found: dict[tuple[str, str], EqualPaths | None] = {}
        self._known_depths: dict[str, dict[str, int]] = {}

    def between(self, start: str, end: str) -> EqualPaths | None:
        """The best ways, which are told apart up to 256; None where there is none."""
        try:
            return self._found[start, end]
        except KeyError:
            found = self._found[start, end] = self._search(start, end)
            return found

    def _search(self, start: str, end: str) -> EqualPaths | None:
        if start not in self._near or end not in self._near:
            return None
        depth, hops = self._depths(start), 0
        if end in depth:
            hops = depth[end]
        elif (only := self._only(end)) in depth:  # a device passes on what goes to its memory
            hops = depth[only] + 1
        else:
            return None
        following, (narrow, latency_ps) = self._back(
            start, end, hops, {start, self._only(start), self._only(end)}
        )
        return EqualPaths(
            hops, -narrow, latency_ps, tuple(islice(_walks(following, start, end), _MOST))
        )

    def _only(self, place: str) -> str:
        """The only neighbour of a place, or else itself."""
        near = self._near[place]
        return near[0] if len(near) == 1 else place

    def _depths(self, start: str) -> dict[str, int]:
        """Hops from `start` to every place but those that a device would have to pass it on to."""
        known = self._known_depths.get(start)
        if known is not None:
            return known
        depth, level = {start: 0}, [start]
        while level:
            beyond = []
            for place in level:
                if place not in self._ends or place in (start, self._only(start)):
                    for other in self._near[place]:
                        if other not in depth:
                            depth[other] = depth[place] + 1
                            beyond.append(other)
            level = beyond
        self._known_depths[start] = depth
        return depth

    def _back(
        self, start: str, end: str, far: int, pass_on: set[str]
    ) -> tuple[dict[str, list[str]], tuple[float, int]]:
        """From each place on a shortest way those next on the best of them, and how good these are
        from `start`.
        """
        depth = self._depths(start)
        good: dict[str, tuple[float, int]] = {
            end: (-inf, 0)
        }  # (narrowest link, negative; picoseconds) to `end`: the less the better
        following: dict[str, list[str]] = {}
        level = [end]
        for hops in range(far - 1, -1, -1):
            found: defaultdict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
            for place in level:
                narrow, latency_ps = good[place]
                for other in self._near[place]:
                    if depth.get(other) == hops and (other not in self._ends or other in pass_on):
                        link = self._links[other, place]
                        found[other][place] = (
                            max(narrow, -link.bandwidth_bytes_per_s),
                            latency_ps + _ps(link),
                        )
            for other, by_next in found.items():
                good[other] = min(by_next.values())
                following[other] = [
                    place for place, how_good in by_next.items() if how_good == good[other]
                ]
            level = list(found)
        return following, good[start]


def _walks(following: dict[str, list[str]], place: str, end: str) -> Iterator[tuple[str, ...]]:
    if place == end:
        yield (end,)
        return
    for other in following[place]:
        for rest in _walks(following, other, end):
            yield place, *rest


def _ps(link: Link) -> int:
    return round(link.latency_s * _PER_S)
