"""Drawing of the marks, links and names of a topology's layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from math import log10

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import FancyBboxPatch

from cluster_sim.figures.topology_layout import Bundle, Condensed, Mark
from cluster_sim.topology import Topology

Colour = tuple[float, float, float, float]

MEMORIES = ("memory", "dram", "nvme")
"""Roles of vertices with a single link; they have the colour of this link."""
_SHAPES = {
    "device": ("s", 90.0),
    "wafer": ("s", 170.0),
    "memory": ("s", 40.0),
    "dram": ("s", 40.0),
    "nvme": ("s", 40.0),
    "front_door": ("D", 60.0),
}
"""Shape and size of a mark, by the role of its vertices."""


def draw_boxes(panel: Axes, picture: Condensed) -> None:
    """Draw a box around the marks of each node, with the name of the node."""
    for box in picture.boxes:
        rows = [mark.row for mark in picture.marks.values() if mark.node == box.name]
        low, high = -max(rows) - 0.3, -min(rows) + 0.3
        panel.add_patch(
            FancyBboxPatch(
                (box.left, low),
                box.width,
                high - low,
                boxstyle="round,pad=0.08",
                facecolor="#f6f6f6",
                edgecolor="#bbbbbb",
                linewidth=0.8,
                zorder=0,
            )
        )
        panel.text(
            box.left + box.width / 2, low - 0.12, box.name, ha="center", va="top", fontsize=8
        )


def draw_bundles(
    panel: Axes, topology: Topology, picture: Condensed, colours: Mapping[Bundle, Colour]
) -> None:
    """Draw bundles of links in the colours given, the last bundle on top."""
    marks = picture.marks
    panel.add_collection(
        LineCollection(
            [[_point(marks[bundle.start]), _point(marks[bundle.end])] for bundle in colours],
            colors=list(colours.values()),
            linewidths=[_width(topology, bundle) for bundle in colours],
            zorder=1,
        )
    )


def _point(mark: Mark) -> tuple[float, float]:
    return mark.x, -float(mark.row)


def _width(topology: Topology, bundle: Bundle) -> float:
    """Return the width of a line [points]: 0.6, plus 1 per tenfold bandwidth, at most 3.6."""
    return 0.6 + min(max(log10(topology.capacity(bundle.edges[0]) / 1e10), 0.0), 3.0)


def draw_marks(
    panel: Axes, marks: Mapping[Hashable, Mark], filled: Mapping[Hashable, Colour]
) -> None:
    """Draw marks with the number of vertices that each represents.

    Parameters
    ----------
    panel
        Axes to draw on.
    marks
        Marks by key.
    filled
        Colours of marks by key; other marks are white.
    """
    by_shape: defaultdict[tuple[str, float], list[Hashable]] = defaultdict(list)
    for key, mark in marks.items():
        by_shape[_SHAPES.get(mark.role, ("o", 50.0))].append(key)
    for (shape, size), keys in by_shape.items():
        x, y = zip(*(_point(marks[key]) for key in keys), strict=True)
        faces = [filled.get(key, "white") for key in keys]
        panel.scatter(
            x, y, s=size, marker=shape, c=faces, edgecolors="#333333", linewidths=0.8, zorder=2
        )
    for mark in marks.values():
        if mark.count > 1:
            panel.annotate(
                f"×{mark.count}",
                _point(mark),
                (6, 5),
                textcoords="offset points",
                fontsize=8,
                zorder=3,
            )


def name_rows(panel: Axes, picture: Condensed) -> None:
    """Write the roles of each row's marks at the left."""
    roles: defaultdict[int, list[str]] = defaultdict(list)
    for mark in picture.marks.values():
        if (role := mark.role.replace("_", " ")) not in roles[mark.row]:
            roles[mark.row].append(role)
    for row, names in roles.items():
        panel.text(
            -0.02 * picture.columns - 0.3,
            -row,
            "\n".join(names),
            ha="right",
            va="center",
            fontsize=8,
            linespacing=1.1,
        )


def name_links(panel: Axes, topology: Topology, picture: Condensed) -> None:
    """Write kind and bandwidth of the links at the right, near the height of the links."""
    heights: defaultdict[str, list[float]] = defaultdict(list)
    for bundle in picture.bundles:
        link = topology.link(bundle.edges[0])
        name = f"{link.kind} {bandwidth(link.bandwidth_bytes_per_s)}"
        heights[name].append(-(picture.marks[bundle.start].row + picture.marks[bundle.end].row) / 2)
    at = float("inf")
    for name, ys in sorted(heights.items(), key=lambda item: -sum(item[1]) / len(item[1])):
        at = min(sum(ys) / len(ys), at - 0.3)
        panel.text(
            1.02 * picture.columns + 0.2,
            at,
            name,
            ha="left",
            va="center",
            fontsize=8,
            color="#444444",
        )


def bandwidth(bytes_per_s: float) -> str:
    """Return a bandwidth [bytes/s] with a unit, as in data sheets.

    >>> bandwidth(46e9), bandwidth(7.672e12), bandwidth(21e15)
    ('46 GB/s', '7.67 TB/s', '21 PB/s')
    """
    for unit, scale in (("PB/s", 1e15), ("TB/s", 1e12), ("GB/s", 1e9)):
        if bytes_per_s >= scale:
            return f"{bytes_per_s / scale:.3g} {unit}"
    return f"{bytes_per_s / 1e6:.3g} MB/s"
