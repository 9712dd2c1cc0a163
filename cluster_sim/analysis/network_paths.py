"""Paths of bytes between two vertices of a cluster, described for people."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR, Edge, Route, Topology

_MOST_COMPARED = 5_000
"""Maximum number of names with which a mistyped name is compared."""


@dataclass(frozen=True)
class DescribedPath:
    """A path and its description."""

    what: str
    """Description of the path in words."""
    route: Route
    """Route of the path."""
    choices: int
    """Number of equally good paths from which the hash of a flow picks."""
    narrowest: Edge | None
    """First bottleneck edge; None for a path without edges."""


def path(topology: Topology, start: str, end: str, what: str = "") -> DescribedPath:
    """Return the path of the first flow between two vertices.

    Parameters
    ----------
    topology
        Vertices and links of the cluster.
    start, end
        Names of two vertices.
    what
        Description of the path in words.

    Raises
    ------
    ScenarioError
        There is no path, or no such vertex.
    """
    for place in (start, end):
        if place not in topology:
            raise ScenarioError.at("--path", f"got '{place}'{_near(topology, place)}")
    try:
        route = topology.route(start, end)
    except LookupError as fault:
        raise ScenarioError.at("--path", str(fault.args[0])) from fault
    return DescribedPath(
        what,
        route,
        topology.choices(start, end),
        min(route.edges, key=topology.capacity, default=None),
    )


def usual_paths(scenario: Scenario, topology: Topology) -> list[DescribedPath]:
    """Return the paths that carry most bytes.

    They lead to each pool, between its devices, to its hosts, and from pool to pool for KV
    transfers.
    """
    pools = scenario.cluster.pools
    paths = [described for pool in pools for described in _of_pool(topology, pool)]
    prefilling, decoding = (
        [pool for pool in pools if pool.replica.role == role] for role in ("prefill", "decode")
    )
    for source, target in product(prefilling, decoding):
        ends = _device(source, 0, 0), _device(target, 0, 0)
        paths.append(path(topology, *ends, f"{source.name} to {target.name}"))
    return paths


def _of_pool(topology: Topology, pool: Pool) -> list[DescribedPath]:
    first, last = _device(pool, 0, 0), pool.node.devices - 1
    ends = [("front door to {}", FRONT_DOOR, first)]
    if last:
        ends.append(("device to device in a node of {}", first, _device(pool, 0, 1)))
    if pool.nodes > 1:
        ends.append(
            ("device to the corresponding device of another node of {}", first, _device(pool, 1, 0))
        )
    if pool.nodes > 1 and last:
        ends.append(
            ("device to a different device of another node of {}", first, _device(pool, 1, 1))
        )
    if host := topology.host(first):
        ends.append(("device to host of {}", first, host))
    return [
        path(topology, start, end, what.format(pool.name))
        for what, start, end in ends
        if _leads(topology, start, end)
    ]


def _leads(topology: Topology, start: str, end: str) -> bool:
    """Return whether there is a path. A pool of separate nodes needs none between its nodes."""
    try:
        topology.route(start, end)
    except LookupError:
        return False
    return True


def _device(pool: Pool, node: int, device: int) -> str:
    return f"{pool.name}/{node}/device{device}"


def _near(topology: Topology, place: str) -> str:
    """Return the end of a message: a similar name, or examples of names."""
    names = [name for name, _ in zip(topology.places(), range(_MOST_COMPARED), strict=False)]
    hint = did_you_mean(place, names)
    node = next((name for name in names if topology.node(name)), "")
    return (
        hint
        if hint.startswith("; did you mean")
        else f"; expected a name such as {FRONT_DOOR}, {node} or {topology.node(node)}/device0"
    )
