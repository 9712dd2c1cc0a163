"""Parallel paths between two groups of devices, and the edges that the bytes on all paths cross."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property

from cluster_sim.topology.graph import Topology
from cluster_sim.topology.network_graph import FRONT_DOOR
from cluster_sim.topology.routes import Edge, Route


class ParallelPaths:
    """Routes that carry equal parts of the bytes at equal speed.

    Parameters
    ----------
    routes
        Route of each path.
    uses
        Number of paths over each resource that is shared with other flows. Resources that belong
        to one device are listed for the first path only: those of other paths carry the same load.
    ends
        Memories of the first path that are read and written.
    is_lasting
        Whether the paths are worth to keep: they are not one of very many pairs of ranks.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        uses: Mapping[Hashable, int],
        ends: tuple[Hashable, Hashable],
        *,
        is_lasting: bool = True,
    ) -> None:
        self.routes = routes
        self.uses = uses
        self.count = len(routes)
        self.latency_s = max(route.latency_s for route in routes)
        self.ends, self.is_lasting = ends, is_lasting

    @cached_property
    def edges(self) -> Mapping[Edge, float]:
        """Every edge of the paths, and the part of the bytes that crosses it."""
        paths = Counter(edge for route in self.routes for edge in route.edges)
        return {edge: count / self.count for edge, count in paths.items()}

    def stands_for(self, topology: Topology) -> Mapping[Edge, Hashable]:
        """Return, for each edge, the resource in `uses` that represents its load."""
        resources = {}
        first = self.routes[0].edges
        for route in self.routes:
            for hop, edge in enumerate(route.edges):
                resource, _ = topology.shared_as(edge)
                if resource not in self.uses:
                    # an edge of one device: the corresponding edge on the first path has the same
                    # distance to the same end, which may be the nearer one
                    is_near = (
                        topology.node(route.places[0])
                        in (topology.node(edge[0]), topology.node(edge[1]))
                        and hop < route.hops / 2
                    )
                    like = (
                        first[min(hop, len(first) - 1)]
                        if is_near
                        else first[max(hop - route.hops, -len(first))]
                    )
                    resource, _ = topology.shared_as(like)
                resources[edge] = resource
        return resources


def parallel_paths_between(
    topology: Topology,
    starts: Sequence[str],
    ends: Sequence[str],
    pairs: Sequence[tuple[int, int]] = (),
    *,
    is_lasting: bool = True,
) -> ParallelPaths:
    """Return the paths between two groups of devices.

    Parameters
    ----------
    topology
        Vertices and links of the cluster.
    starts, ends
        Names of the sending and of the receiving devices.
    pairs
        Numbers of the sending and of the receiving device of each path. All devices at one side
        must have equal numbers of paths. Default: the i-th device sends to the i-th device; the
        smaller group is repeated.
    is_lasting
        Whether the paths are worth to keep, see ParallelPaths.

    Raises
    ------
    LookupError
        No route leads from one of the devices to its partner.
    """
    pairs = pairs or repeated_pairs(starts, ends)
    routes = [
        topology.route(starts[first], ends[last], number)
        for number, (first, last) in enumerate(pairs)
    ]
    uses = _uses(topology, routes)
    first = routes[0].edges
    ends_of_first = topology.shared_as(first[0])[0], topology.shared_as(first[-1])[0]
    return ParallelPaths(routes, uses, ends_of_first, is_lasting=is_lasting)


def paths_outside(
    topology: Topology, memories: Sequence[str], limits: Sequence[Hashable], *, is_leaving: bool
) -> ParallelPaths:
    """Return the paths between devices and a store on the network, one per device.

    The store is next to the switches at which the front door is; at the front door itself, if nodes
    are linked with nothing else.

    Parameters
    ----------
    topology
        Vertices and links of the cluster.
    memories
        Memories of the devices.
    limits
        Resource that stands for the store, and further resources that all bytes use.
    is_leaving
        Whether bytes go to the store; otherwise they come from there.

    Raises
    ------
    LookupError
        No route leads from one of the devices to the network.
    """
    routes = []
    for number, memory in enumerate(memories):
        edges = topology.route(memory, FRONT_DOOR, number).edges
        if topology.node(edges[-1][0]) is None:
            edges = edges[:-1]
        if not is_leaving:
            edges = tuple(edge[::-1] for edge in reversed(edges))
        routes.append(topology.route_along((edges[0][0], *(end for _, end in edges))))
    uses = _uses(topology, routes) | dict.fromkeys(limits, len(routes))
    edge = routes[0].edges[0 if is_leaving else -1]
    own, _ = topology.shared_as(edge)
    return ParallelPaths(routes, uses, (own, limits[0]) if is_leaving else (limits[0], own))


def _uses(topology: Topology, routes: Sequence[Route]) -> dict[Hashable, int]:
    """Return the number of routes over each resource; own ones of the first route alone."""
    uses = {topology.shared_as(edge)[0]: 0 for edge in routes[0].edges}
    for route in routes:
        for edge in route.edges:
            resource, is_own = topology.shared_as(edge)
            if resource in uses:
                uses[resource] += 1
            elif not is_own:
                uses[resource] = 1
    return uses


def repeated_pairs(starts: Sequence[str], ends: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of the i-th device with the i-th; the smaller group is repeated.

    >>> repeated_pairs("ab", "uvw")
    [(0, 0), (1, 1), (0, 2)]
    """
    return [
        (number % len(starts), number % len(ends)) for number in range(max(len(starts), len(ends)))
    ]
