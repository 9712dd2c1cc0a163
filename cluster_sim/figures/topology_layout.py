"""Layout of a topology for drawing. Similar vertices of a large topology are one mark with a count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster_sim.topology import FRONT_DOOR, Edge, Topology

_MOST_COLUMNS = 26
"""Maximum number of devices side by side; with more, similar devices are one mark."""
_LEAST_WIDTH = 2.6
"""Minimum width of a node's box, for its name [columns]."""
_GAP = 0.7
"""Distance between boxes [columns]."""
_DEVICES = ("device", "wafer")
# Rows from the top. Switches of a network are above, or beside, the switches that nodes connect to.
_FRONT, _SPINES, _LEAVES, _NICS, _HOSTS, _OTHERS, _SWITCH, _DEVICE, _MEMORY = range(9)
_ROWS = {
    "nic": _NICS,
    "host": _HOSTS,
    "dram": _HOSTS,
    "nvme": _HOSTS,
    "device": _DEVICE,
    "wafer": _DEVICE,
    "memory": _MEMORY,
    "switch": _SWITCH,
}


@dataclass(frozen=True)
class Mark:
    """Mark of one vertex, or of several similar vertices."""

    role: str
    """Role of the vertices, such as device."""
    node: str | None
    """Name of the box that holds the mark; None outside of nodes."""
    count: int
    """Number of vertices per node of the box; outside of nodes, number of all vertices."""
    row: int
    """Row, counted from the top."""
    x: float = 0.0
    """Horizontal position [columns]."""


@dataclass(frozen=True)
class Box:
    """Box of one node, or of several similar nodes."""

    name: str
    """Text below the box."""
    left: float
    """Left end [columns]."""
    width: float
    """Width [columns]."""


@dataclass(frozen=True)
class Bundle:
    """Links between two marks."""

    start: Hashable
    end: Hashable
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Condensed:
    """Layout of a topology."""

    marks: Mapping[Hashable, Mark]
    """Marks by keys that only identify them."""
    bundles: Sequence[Bundle]
    """Links between marks."""
    boxes: Sequence[Box]
    """Boxes of nodes."""
    columns: float
    """Width of the layout [columns]."""


def condensed(topology: Topology) -> Condensed:
    """Return the layout of a topology.

    Every vertex has a mark if all devices fit side by side. Otherwise one node represents all nodes
    of its pool; if that is still too wide, one device represents all devices of its node. Switches
    with the same kinds of vertices below them are then one mark, too.
    """
    graph = topology.graph
    inside, apart = _inside(topology)
    keys = inside | _switches(topology, inside, apart=apart)
    members: defaultdict[Hashable, list[str]] = defaultdict(list)
    for place in graph:
        members[keys[place]].append(place)
    bundles: defaultdict[tuple[Hashable, Hashable], list[Edge]] = defaultdict(list)
    for start, end in graph.edges:
        pair = (keys[start], keys[end])
        bundles[pair if pair in bundles or pair[::-1] not in bundles else pair[::-1]].append(
            (start, end)
        )
    near: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
    for start_key, end_key in bundles:
        near[start_key].add(end_key)
        near[end_key].add(start_key)
    nodes = set(inside.values())
    marks = {
        key: _mark(
            topology,
            places,
            _FRONT if len(near[key]) < 2 else _LEAVES if near[key] & nodes else _SPINES,
        )
        for key, places in members.items()
    }
    placed, boxes, columns = _placed(marks, near)
    return Condensed(
        placed, [Bundle(*pair, tuple(edges)) for pair, edges in bundles.items()], boxes, columns
    )


def _inside(topology: Topology) -> tuple[dict[str, Hashable], bool]:
    """Return the keys of vertices inside nodes, and whether every vertex has a key of its own."""
    levels: Sequence[Callable[[str], Hashable]] = (
        lambda place: place,
        lambda place: (_pool(topology, place), _within(topology, place)),
        lambda place: (_pool(topology, place), topology.role(place)),
    )
    inside: dict[str, Hashable] = {}
    for level in levels:
        inside = {
            place: level(place) for place in topology.graph if topology.node(place) is not None
        }
        devices = {key for place, key in inside.items() if topology.role(place) in _DEVICES}
        if len(devices) <= _MOST_COLUMNS:
            break
    return inside, level is levels[0]


def _pool(topology: Topology, place: str) -> str:
    return (topology.node(place) or "").partition("/")[0]


def _within(topology: Topology, place: str) -> str:
    return place[len(topology.node(place) or "") :]


def _switches(
    topology: Topology, inside: Mapping[str, Hashable], *, apart: bool
) -> dict[str, Hashable]:
    """Return the keys of vertices outside of nodes; `apart`: every vertex has a different key."""
    outside = [place for place in topology.graph if place not in inside]
    if apart:
        return {place: place for place in outside}
    return {
        place: (
            place.rpartition("/")[0],
            topology.role(place),
            frozenset(inside[other] for other in topology.graph[place] if other in inside),
        )
        for place in outside
    }


def _mark(topology: Topology, places: Sequence[str], row_outside: int) -> Mark:
    """Return the mark of similar vertices, without its horizontal position."""
    role = topology.role(places[0])
    nodes = list(dict.fromkeys(topology.node(place) for place in places))
    if nodes[0] is None:
        return Mark(role, None, len(places), _FRONT if role == FRONT_DOOR else row_outside)
    box = nodes[0] if len(nodes) == 1 else f"{nodes[0]} and {len(nodes) - 1} similar"
    return Mark(role, box, len(places) // len(nodes), _ROWS.get(role, _OTHERS))


def _placed(
    marks: Mapping[Hashable, Mark], near: Mapping[Hashable, Collection[Hashable]]
) -> tuple[dict[Hashable, Mark], list[Box], float]:
    """Return the marks with positions, the boxes side by side, and the number of columns."""
    x: dict[Hashable, float] = {}
    boxes: list[Box] = []
    left = 0.0
    for name in dict.fromkeys(mark.node for mark in marks.values() if mark.node is not None):
        width, places = _in_box({key: mark for key, mark in marks.items() if mark.node == name})
        x |= {key: left + place for key, place in places.items()}
        boxes.append(Box(name, left, width))
        left += width + _GAP
    columns = max(left - _GAP, _LEAST_WIDTH)
    for row in (_LEAVES, _SPINES, _FRONT):
        above = [key for key, mark in marks.items() if mark.row == row and mark.node is None]
        x |= _above(above, near, x, columns)
    rows = {row: number for number, row in enumerate(sorted({mark.row for mark in marks.values()}))}
    placed = {key: replace(mark, row=rows[mark.row], x=x[key]) for key, mark in marks.items()}
    return placed, boxes, columns


def _in_box(marks: Mapping[Hashable, Mark]) -> tuple[float, dict[Hashable, float]]:
    """Return the width of a box, and the position of each mark from the left of the box."""
    by_row: defaultdict[int, list[Hashable]] = defaultdict(list)
    for key, mark in marks.items():
        by_row[mark.row].append(key)
    crowd = len(by_row[_HOSTS])  # hosts with their memory and drives
    width = max(
        [float(len(keys)) for row, keys in by_row.items() if row != _HOSTS]
        + [float(crowd) if crowd > 1 else 0.0, _LEAST_WIDTH]
    )
    x: dict[Hashable, float] = {}
    for row, keys in by_row.items():
        for number, key in enumerate(keys):
            x[key] = (number + 0.5) * width / len(keys)
        if row == _SWITCH and len(by_row[_DEVICE]) == 1:  # beside the link that passes it
            x[keys[0]] = 0.75 * width
    hosts = by_row[_HOSTS]
    if len({marks[key].role for key in hosts}) == crowd:  # one per role: one column apart
        order = sorted(hosts, key=lambda key: ("dram", "host", "nvme").index(marks[key].role))
        for number, key in enumerate(order):
            x[key] = width / 2 + number - (crowd > 1)
    return width, x


def _above(
    keys: Sequence[Hashable],
    near: Mapping[Hashable, Collection[Hashable]],
    x: Mapping[Hashable, float],
    columns: float,
) -> dict[Hashable, float]:
    """Return positions of the switches of a row: even, in the order of the vertices below them."""

    def middle(key: Hashable) -> float:
        known = [x[other] for other in near[key] if other in x]
        return sum(known) / len(known) if known else columns

    return {
        key: (number + 0.5) * columns / len(keys)
        for number, key in enumerate(sorted(keys, key=middle))
    }
