"""The cluster's places and links, from the front door down to the memories, coloured by how busy
the links were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from math import log10

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cluster_sim.figures import style
from cluster_sim.figures.topology_layout import Bundle, Condensed, Mark, condensed
from cluster_sim.results.results import Results
from cluster_sim.topology import Edge, Topology

_ROW_IN = 0.62
_BUSY = LinearSegmentedColormap.from_list("busy", ["#c4c8cc", "#f0b429", "#d9480f", "#6b0000"])
"""Grey where nothing moves."""
_FLAT = ("memory", "dram", "nvme")
"""Places at the end of one link, which have its colour."""
_SHAPES = {
    "device": ("s", 90.0),
    "wafer": ("s", 170.0),
    "memory": ("s", 40.0),
    "dram": ("s", 40.0),
    "nvme": ("s", 40.0),
    "front_door": ("D", 60.0),
}


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, as high as its tiers."""
    pictures = [condensed(one.fleet.topology) for one in results]
    figure, panels = style.blank(
        [
            1.0 + _ROW_IN * max(mark.row + 1 for mark in picture.marks.values())
            for picture in pictures
        ]
    )
    for panel in panels:
        panel.set_axis_off()
    return figure, panels


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """One mark for what is alike, its links with the colour of the busiest of them; where nothing
    moved, of what they could carry.

    Busy is the mean over the run of the share of a link's bandwidth that was in use: the links
    table's `utilisation` where it has one, else that of KV on its way; of a device's memory what
    its engine moved.
    """
    shown = style.variants(results)
    busy = [_utilisation(one.results) for one in shown]
    by_capacity = not any(share > 0.0 for shares in busy for share in shares.values())
    topologies = [one.results.fleet.topology for one in shown]
    pictures = [condensed(topology) for topology in topologies]
    values = [
        {bundle: _value(topology, bundle, shares, by_capacity) for bundle in picture.bundles}
        for topology, picture, shares in zip(topologies, pictures, busy, strict=True)
    ]
    norm = (
        _norm([value for one in values for value in one.values()])
        if by_capacity
        else Normalize(0.0, 100.0)
    )
    said = []
    for number, (one, panel) in enumerate(zip(shown, axes, strict=True)):
        topology, shares = topologies[number], busy[number]
        _draw(panel, topology, pictures[number], values[number], norm, _colours(by_capacity))
        nodes = len({topology.node(place) for place in topology.places()} - {None})
        style.title(panel, f"{one.label}: {nodes} nodes" if nodes > 1 else f"{one.label}: one node")
        if shares and not by_capacity:
            most = max(shares, key=lambda edge: shares[edge])
            said.append(f"{one.label} {_name(most)} {style.percent(shares[most])}")
    if (figure := axes[0].get_figure(root=True)) is None:
        return
    bar = figure.colorbar(
        ScalarMappable(norm, _colours(by_capacity)),
        ax=list(axes),
        orientation="horizontal",
        fraction=0.03,
        aspect=60,
        pad=0.01,
    )
    bar.ax.tick_params(labelsize=8)
    style.label(
        bar.ax,
        x="bandwidth of a link [GB/s], one direction"
        if by_capacity
        else "mean utilisation of the busiest link of a line [%]",
    )
    style.headline(
        figure,
        f"Busiest on average: {'; '.join(said)}"
        if said
        else "Links by what they can carry: nothing has moved",
    )


def _norm(bandwidths: Sequence[float]) -> Normalize:
    """By magnitude, a decade at least."""
    return LogNorm(min(bandwidths), max(*bandwidths, 10.0 * min(bandwidths)))


def _colours(by_capacity: bool) -> Colormap:
    return colormaps["viridis_r"] if by_capacity else _BUSY


def _utilisation(results: Results) -> dict[Edge, float]:
    """Mean share of its bandwidth by link, in the direction that the table gives; of a memory in
    either.
    """
    shares: dict[Edge, float] = {}
    simulated_s = results.info.simulated_s or float("inf")
    rows = results.links.to_pylist()
    for row in rows:
        share = (
            row["utilisation"]
            if "utilisation" in row
            else row.get("kv_bytes", 0.0) / (row["bandwidth_bytes_per_s"] * simulated_s)
        )
        edge = row["from"], row["to"]
        shares[edge] = max(shares.get(edge, 0.0), share or 0.0)
    for row in results.devices.to_pylist():
        edge = row["device"], f"{row['device']}/memory"
        shares[edge] = max(shares.get(edge, 0.0), row["bandwidth_utilisation"] or 0.0)
    return shares


def _name(edge: Edge) -> str:
    """A link by its farther end where that is all there is to it."""
    far = max(edge, key=len)
    return far if far.rpartition("/")[2].rstrip("0123456789") in _FLAT else " to ".join(edge)


def _value(
    topology: Topology, bundle: Bundle, shares: Mapping[Edge, float], by_capacity: bool
) -> float:
    if by_capacity:
        return max(topology.capacity(edge) for edge in bundle.edges) / 1e9
    return 100.0 * max(
        shares.get(direction, 0.0) for edge in bundle.edges for direction in (edge, edge[::-1])
    )


def _draw(
    panel: Axes,
    topology: Topology,
    picture: Condensed,
    values: Mapping[Bundle, float],
    norm: Normalize,
    colours: Colormap,
) -> None:
    marks = picture.marks
    for box in picture.boxes:
        rows = [mark.row for mark in marks.values() if mark.node == box.name]
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
    ends = {bundle: (marks[bundle.start], marks[bundle.end]) for bundle in picture.bundles}
    order = sorted(picture.bundles, key=lambda bundle: values[bundle])  # the busiest on top
    panel.add_collection(
        LineCollection(
            [[_point(mark) for mark in ends[bundle]] for bundle in order],
            colors=[colours(norm(values[bundle])) for bundle in order],
            linewidths=[_width(topology, bundle) for bundle in order],
            zorder=1,
        )
    )
    bus = {key: values[bundle] for bundle in picture.bundles for key in (bundle.start, bundle.end)}
    _draw_marks(
        panel,
        marks,
        {
            key: colours(norm(bus[key]))
            for key, mark in marks.items()
            if mark.role in _FLAT and key in bus
        },
    )
    _label_rows(panel, picture)
    _label_links(panel, topology, picture)
    panel.set_xlim(-0.13 * picture.columns - 0.3, 1.2 * picture.columns + 0.3)
    panel.set_ylim(-max(mark.row for mark in marks.values()) - 0.75, 0.4)


def _point(mark: Mark) -> tuple[float, float]:
    return mark.x, -float(mark.row)


def _width(topology: Topology, bundle: Bundle) -> float:
    """Points: one more for each tenfold bandwidth, up to that of a memory."""
    return 0.6 + min(max(log10(topology.capacity(bundle.edges[0]) / 1e10), 0.0), 3.0)


def _draw_marks(
    panel: Axes,
    marks: Mapping[Hashable, Mark],
    filled: Mapping[Hashable, tuple[float, float, float, float]],
) -> None:
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


def _label_rows(panel: Axes, picture: Condensed) -> None:
    roles: defaultdict[int, list[str]] = defaultdict(list)
    for mark in picture.marks.values():
        if (said := mark.role.replace("_", " ")) not in roles[mark.row]:
            roles[mark.row].append(said)
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


def _label_links(panel: Axes, topology: Topology, picture: Condensed) -> None:
    """What links there are, at the right, about as high as they are drawn."""
    heights: defaultdict[str, list[float]] = defaultdict(list)
    for bundle in picture.bundles:
        link = topology.link(bundle.edges[0])
        said = f"{link.kind} {bandwidth(link.bandwidth_bytes_per_s)}"
        heights[said].append(-(picture.marks[bundle.start].row + picture.marks[bundle.end].row) / 2)
    at = float("inf")
    for said, ys in sorted(heights.items(), key=lambda item: -sum(item[1]) / len(item[1])):
        at = min(sum(ys) / len(ys), at - 0.3)
        panel.text(
            1.02 * picture.columns + 0.2,
            at,
            said,
            ha="left",
            va="center",
            fontsize=8,
            color="#444444",
        )


def bandwidth(bytes_per_s: float) -> str:
    """As data sheets say it.

    >>> bandwidth(46e9), bandwidth(7.672e12), bandwidth(21e15)
    ('46 GB/s', '7.67 TB/s', '21 PB/s')
    """
    for unit, scale in (("PB/s", 1e15), ("TB/s", 1e12), ("GB/s", 1e9)):
        if bytes_per_s >= scale:
            return f"{bytes_per_s / scale:.3g} {unit}"
    return f"{bytes_per_s / 1e6:.3g} MB/s"
