"""Best paths between two vertices: fewest hops, then highest bandwidth, then lowest latency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from math import inf

import networkx as nx

from cluster_sim.hardware.network import Link

_MOST = 256
"""Maximum number of equally good paths that are kept, which is more than any switch has ports to
the next tier."""
_PER_S = 1e12
"""Resolution of latencies. They are compared in whole picoseconds, so that the order of a sum does
not matter."""

_Quality = tuple[float, int]
"""Negative bandwidth of the narrowest link, and latency [ps]. A smaller quality is better."""


@dataclass(frozen=True, slots=True)
class EqualPaths:
    """Equally good paths between two vertices."""

    hops: int
    bytes_per_s: float
    """Bandwidth of the narrowest link [B/s]; infinite without one."""
    latency_ps: int
    paths: tuple[tuple[str, ...], ...]
    """Vertices of each path, both ends included."""

    def then(self, link: Link, place: str) -> EqualPaths:
        """Return all paths, one link longer, to `place`."""
        paths = tuple((*path, place) for path in self.paths)
        return EqualPaths(
            self.hops + 1,
            min(self.bytes_per_s, link.bandwidth_bytes_per_s),
            self.latency_ps + _ps(link),
            paths,
        )


class ShortestPaths:
    """Best paths of a graph whose edges have a `link`. Each pair of vertices is searched once.

    Parameters
    ----------
    graph
        Vertices and links.
    ends
        Vertices that forward nothing but the traffic of their only neighbour, as devices do for their
        memory.
    """

    def __init__(self, graph: nx.Graph, ends: Collection[str] = ()) -> None:
        self._near: dict[str, list[str]] = {place: list(graph[place]) for place in graph}
        self._links: dict[tuple[str, str], Link] = {}
        for start, end, link in graph.edges(data="link"):
            self._links[start, end] = self._links[end, start] = link
        self._ends = ends
        self._known: dict[tuple[str, str], EqualPaths | None] = {}
        self._known_depths: dict[str, dict[str, int]] = {}

    def between(self, start: str, end: str) -> EqualPaths | None:
        """Return the best paths, at most 256; None if there is no path."""
        try:
            return self._known[start, end]
        except KeyError:
            paths = self._known[start, end] = self._search(start, end)
            return paths

    def _search(self, start: str, end: str) -> EqualPaths | None:
        if start not in self._near or end not in self._near:
            return None
        depth, hops = self._depths(start), 0
        if end in depth:
            hops = depth[end]
        elif (only := self._only(end)) in depth:  # a device forwards the traffic of its memory
            hops = depth[only] + 1
        else:
            return None
        following, (narrow, latency_ps) = self._back(
            start, end, hops, {start, self._only(start), self._only(end)}
        )
        paths = tuple(islice(_walks(following, start, end), _MOST))
        return EqualPaths(hops, -narrow, latency_ps, paths)

    def _only(self, place: str) -> str:
        """Return the only neighbour of a vertex, or else the vertex itself."""
        near = self._near[place]
        return near[0] if len(near) == 1 else place

    def _depths(self, start: str) -> dict[str, int]:
        """Return the hops from `start` to every vertex that is reachable without forwarding devices."""
        known = self._known_depths.get(start)
        if known is not None:
            return known
        depth, level = {start: 0}, [start]
        while level:
            beyond = []
            for place in level:
                if place not in self._ends or place in (start, self._only(start)):
                    for near in self._near[place]:
                        if near not in depth:
                            depth[near] = depth[place] + 1
                            beyond.append(near)
            level = beyond
        self._known_depths[start] = depth
        return depth

    def _back(
        self, start: str, end: str, hops: int, pass_on: set[str]
    ) -> tuple[dict[str, list[str]], _Quality]:
        """Walk back from `end` over shortest paths, level by level.

        Return the next vertices on the best paths from each vertex, and the quality of the best
        paths from `start`.
        """
        depth = self._depths(start)
        best: dict[str, _Quality] = {end: (-inf, 0)}  # from each vertex to `end`
        following: dict[str, list[str]] = {}
        level = [end]
        for hop in range(hops - 1, -1, -1):
            nearer: defaultdict[str, dict[str, _Quality]] = defaultdict(dict)
            for place in level:
                narrow, latency_ps = best[place]
                for near in self._near[place]:
                    if depth.get(near) == hop and (near not in self._ends or near in pass_on):
                        link = self._links[near, place]
                        nearer[near][place] = (
                            max(narrow, -link.bandwidth_bytes_per_s),
                            latency_ps + _ps(link),
                        )
            for near, by_next in nearer.items():
                best[near] = min(by_next.values())
                following[near] = [
                    place for place, quality in by_next.items() if quality == best[near]
                ]
            level = list(nearer)
        return following, best[start]


def _walks(following: dict[str, list[str]], place: str, end: str) -> Iterator[tuple[str, ...]]:
    """Yield every path from `place` to `end`."""
    if place == end:
        yield (end,)
        return
    for after in following[place]:
        for rest in _walks(following, after, end):
            yield place, *rest


def _ps(link: Link) -> int:
    return round(link.latency_s * _PER_S)
