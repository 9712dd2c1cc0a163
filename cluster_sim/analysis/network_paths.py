"""Which way bytes go from one place of a cluster to another, told to people."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import FRONT_DOOR, Edge, Route, Topology

_MOST_COMPARED = 5_000
"""Names of places that a mistyped one is compared with."""


@dataclass(frozen=True)
class Path:
    """A way, and what is said of it."""

    what: str
    route: Route
    choices: int
    """From how many equally good ways a flow's hash picks."""
    narrowest: Edge | None
    """The first of the edges that are its bottleneck; None of a way without edges."""


def path(topology: Topology, start: str, end: str, what: str = "") -> Path:
    """The way of the first flow from `start` to `end`.

    Raises ScenarioError where there is none, or no such place.
    """
    for place in (start, end):
        if place not in topology:
            raise ScenarioError.at("--path", f"no place '{place}'{_near(topology, place)}")
    try:
        route = topology.route(start, end)
    except LookupError as fault:
        raise ScenarioError.at("--path", str(fault.args[0])) from fault
    return Path(
        what,
        route,
        topology.choices(start, end),
        min(route.edges, key=topology.capacity, default=None),
    )


def usual_paths(scenario: Scenario, topology: Topology) -> list[Path]:
    """Those that most bytes take: requests to each pool, between its devices, to its hosts, and KV
    from pool to pool.
    """
    found = [one for pool in scenario.cluster.pools for one in _of_pool(topology, pool)]
    by_role = {
        role: [pool for pool in scenario.cluster.pools if pool.replica.role == role]
        for role in ("prefill", "decode")
    }
    for reader in by_role["prefill"]:
        found += [
            path(
                topology,
                _device(reader, 0, 0),
                _device(decoder, 0, 0),
                f"{reader.name} to {decoder.name}",
            )
            for decoder in by_role["decode"]
        ]
    return found


def _of_pool(topology: Topology, pool: Pool) -> list[Path]:
    first, last = _device(pool, 0, 0), pool.node.devices - 1
    ends = [("front door to {}", FRONT_DOOR, first)]
    if last:
        ends.append(("device to device in a node of {}", first, _device(pool, 0, 1)))
    if pool.nodes > 1:
        ends.append(("device to the same of another node of {}", first, _device(pool, 1, 0)))
    if pool.nodes > 1 and last:
        ends.append(("device to another of another node of {}", first, _device(pool, 1, 1)))
    if host := topology.host(first):
        ends.append(("device to host of {}", first, host))
    return [
        path(topology, start, end, what.format(pool.name))
        for what, start, end in ends
        if _leads(topology, start, end)
    ]


def _leads(topology: Topology, start: str, end: str) -> bool:
    """Whether there is a way: a pool of lone nodes needs none between them."""
    try:
        topology.route(start, end)
    except LookupError:
        return False
    return True


def _device(pool: Pool, node: int, device: int) -> str:
    return f"{pool.name}/{node}/device{device}"


def _near(topology: Topology, place: str) -> str:
    """What may have been meant, or how places are called."""
    names = [name for name, _ in zip(topology.places(), range(_MOST_COMPARED), strict=False)]
    hint = did_you_mean(place, names)
    node = next((name for name in names if topology.node(name)), "")
    return (
        hint
        if hint.startswith("; did you mean")
        else f"; places are called {FRONT_DOOR}, {node}, {topology.node(node)}/device0 and so on"
    )
