"""The lanes between two groups of devices: what bytes that go over all of them at once cross, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from cluster_sim.topology.graph import Topology
from cluster_sim.topology.routes import Edge


@dataclass(frozen=True, eq=False)
class Lanes:
    """Routes that take equal parts of the bytes at the same speed."""

    count: int
    uses: Mapping[Hashable, int]
    """Lanes by what they share with other flows. What a device has for itself is there for the first lane alone: its like of the
    other lanes carry the same."""
    edges: Mapping[Edge, float]
    """Every edge on the way, and the part of the bytes that crosses it."""
    stands_for: Mapping[Edge, Hashable]
    """By edge, which of `uses` tells how full it is."""
    latency_s: float
    """Of the longest lane."""
    ends: tuple[Hashable | None, Hashable | None] = (None, None)
    """The memories of the first lane that are read and written."""


def lanes_between(topology: Topology, starts: Sequence[str], ends: Sequence[str]) -> Lanes:
    """From each of the places `starts` to one of `ends`, the i-th to the i-th, over and over where one group is larger.

    Raises LookupError where there is no way.
    """
    count = max(len(starts), len(ends))
    routes = [topology.route(starts[number % len(starts)], ends[number % len(ends)], number) for number in range(count)]
    crossed = Counter(topology.resource(edge) for route in routes for edge in route.edges)
    first = {topology.resource(edge) for edge in routes[0].edges}
    own = {topology.resource(edge) for route in routes[1:] for edge in route.edges if topology.is_a_devices_own(edge)} - first
    edges = Counter(edge for route in routes for edge in route.edges)
    stands_for = {}
    for route in routes:
        for place, edge in enumerate(route.edges):
            alike = edge
            if topology.resource(edge) in own:  # counted from the end that it is near to
                is_near = topology.node(starts[0]) in (topology.node(edge[0]), topology.node(edge[1])) and place < len(route.edges) / 2
                alike = routes[0].edges[place if is_near else place - len(route.edges)]
            stands_for[edge] = topology.resource(alike)
    return Lanes(
        count,
        {resource: lanes for resource, lanes in crossed.items() if resource not in own},
        {edge: lanes / count for edge, lanes in edges.items()},
        stands_for,
        max(route.latency_s for route in routes),
        (topology.resource(routes[0].edges[0]), topology.resource(routes[0].edges[-1])),
    )
