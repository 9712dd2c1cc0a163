"""The lanes between two groups of devices: what bytes that go over all of them at once cross, and
how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property

from cluster_sim.topology.graph import Topology
from cluster_sim.topology.routes import Edge, Route


class ParallelPaths:
    """Routes that take equal parts of the bytes at the same speed."""

    def __init__(
        self, routes: Sequence[Route], uses: Mapping[Hashable, int], ends: tuple[Hashable, Hashable]
    ) -> None:
        self.routes = routes
        self.uses = uses
        """Lanes by what they share with other flows. What a device has for itself is there for the
        first lane alone: its like of the other lanes carry the same."""
        self.count = len(routes)
        self.latency_s = max(route.latency_s for route in routes)
        self.ends = ends
        """The memories of the first lane that are read and written."""

    @cached_property
    def edges(self) -> Mapping[Edge, float]:
        """Every edge on the way, and the part of the bytes that crosses it."""
        lanes = Counter(edge for route in self.routes for edge in route.edges)
        return {edge: count / self.count for edge, count in lanes.items()}

    def stands_for(self, topology: Topology) -> Mapping[Edge, Hashable]:
        """By edge, which of `uses` tells how full it is."""
        found = {}
        first = self.routes[0].edges
        for route in self.routes:
            for place, edge in enumerate(route.edges):
                resource, _ = topology.shared_as(edge)
                if (
                    resource not in self.uses
                ):  # a device's own: its like is as far from the same end
                    is_near = (
                        topology.node(route.places[0])
                        in (topology.node(edge[0]), topology.node(edge[1]))
                        and place < route.hops / 2
                    )
                    resource, _ = topology.shared_as(
                        first[place if is_near else place - route.hops]
                    )
                found[edge] = resource
        return found


def parallel_paths_between(
    topology: Topology, starts: Sequence[str], ends: Sequence[str]
) -> ParallelPaths:
    """From each of the places `starts` to one of `ends`, the i-th to the i-th, over and over where
    one group is larger.

    Raises LookupError where there is no way.
    """
    routes = [
        topology.route(starts[lane % len(starts)], ends[lane % len(ends)], lane)
        for lane in range(max(len(starts), len(ends)))
    ]
    crossed = [topology.shared_as(edge) for edge in routes[0].edges]
    uses = {resource: 0 for resource, _ in crossed}
    memories = crossed[0][0], crossed[-1][0]
    for route in routes:
        for edge in route.edges:
            resource, is_own = topology.shared_as(edge)
            if resource in uses:
                uses[resource] += 1
            elif not is_own:
                uses[resource] = 1
    return ParallelPaths(routes, uses, memories)
