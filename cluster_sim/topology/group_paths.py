"""Bandwidth from one group of devices to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from cluster_sim.topology.graph import Topology
from cluster_sim.topology.parallel_paths import repeated_pairs
from cluster_sim.topology.routes import Edge, Route


@dataclass(frozen=True)
class GroupPath:
    """Bandwidth from one group of devices to another, with a separate path per device."""

    route: Route
    """Route from the first device of one group to the first of the other."""
    out_bytes_per_s: float
    """Bandwidth out of the sending group, over the links of its devices and nodes [B/s]."""
    in_bytes_per_s: float
    """Bandwidth into the receiving group [B/s]."""
    bytes_per_s: float
    """Bandwidth from group to group [B/s]."""
    count: int
    """Number of paths, over which equal parts of the bytes move."""


def group_path(
    topology: Topology,
    starts: Sequence[str],
    ends: Sequence[str],
    pairs: Sequence[tuple[int, int]] = (),
) -> GroupPath:
    """Return the bandwidth from one group of devices to another.

    A device has its own edges for itself, and an equal part of edges that it shares with other
    devices of its node (rails). Edges outside of nodes are not divided.

    Parameters
    ----------
    topology
        Vertices and links of the cluster.
    starts, ends
        Names of the sending and of the receiving devices.
    pairs
        Numbers of the sending and of the receiving device of each path. Default: the i-th device
        sends to the i-th device; the smaller group is repeated.

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
    parts = [_parts(topology, route) for route in routes]
    leaving_paths: dict[int, list[Edge]] = {}
    entering_paths: dict[int, list[Edge]] = {}
    for (first, last), (out, _, into) in zip(pairs, parts, strict=True):
        leaving_paths.setdefault(first, out)
        entering_paths.setdefault(last, into[::-1])
    leaving = _width(topology, list(leaving_paths.values()))
    entering = _width(topology, list(entering_paths.values()))
    leaving = (
        entering if leaving == inf else leaving
    )  # a link from device to device belongs to both ends
    between = min(
        (
            sum(map(topology.capacity, set(level)))
            for level in _levels([middle for _, middle, _ in parts])
        ),
        default=inf,
    )
    return GroupPath(routes[0], leaving, entering, min(leaving, entering, between), len(routes))


def _parts(topology: Topology, route: Route) -> tuple[list[Edge], list[Edge], list[Edge]]:
    """Return the edges of the first device and its node, of no node, and of the last device."""
    first, last = route.places[0], route.places[-1]
    out: list[Edge] = []
    between: list[Edge] = []
    into: list[Edge] = []
    for edge in route.edges:
        nodes = {topology.node(place) for place in edge}
        if last in edge:
            into.append(edge)
        elif first in edge or topology.node(first) in nodes:
            out.append(edge)
        else:
            (into if topology.node(last) in nodes else between).append(edge)
    return out, between, into


def _width(topology: Topology, paths: list[list[Edge]]) -> float:
    """Return the bandwidth of all devices' paths together; each device has its part of an edge."""
    return min(
        (
            sum(topology.part(edge) * topology.capacity(edge) for edge in level)
            for level in _levels(paths)
        ),
        default=inf,
    )


def _levels(paths: list[list[Edge]]) -> Iterator[list[Edge]]:
    """Return the edges of the paths hop by hop, up to the length of the shortest path."""
    return ([path[hop] for path in paths] for hop in range(min(map(len, paths))))
