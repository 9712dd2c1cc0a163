"""The cluster's topology, from the front door down to the memories.

Links are coloured by their utilisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.topology_layout import Bundle, Condensed, condensed
from cluster_sim.figures.topology_marks import (
    MEMORIES,
    draw_boxes,
    draw_bundles,
    draw_marks,
    name_links,
    name_rows,
)
from cluster_sim.results.results import Results
from cluster_sim.topology import Edge, Topology

_ROW_IN = 0.62
_BUSY = LinearSegmentedColormap.from_list("busy", ["#c4c8cc", "#f0b429", "#d9480f", "#6b0000"])
"""Colours of utilisation; grey is 0."""


@dataclass(frozen=True)
class _Picture:
    """Topology of a run with the utilisation of its links."""

    topology: Topology
    """Topology of the cluster."""
    condensed: Condensed
    """Topology with similar vertices merged."""
    shares: Mapping[Edge, float]
    """Mean utilisation of each link, by direction."""

    def values(self, *, by_capacity: bool) -> dict[Bundle, float]:
        """Return the capacity of each bundle [GB/s], or its utilisation [%]."""
        return {
            bundle: self._capacity(bundle) if by_capacity else self._used(bundle)
            for bundle in self.condensed.bundles
        }

    def _capacity(self, bundle: Bundle) -> float:
        return max(self.topology.capacity(edge) for edge in bundle.edges) / 1e9

    def _used(self, bundle: Bundle) -> float:
        directions = (direction for edge in bundle.edges for direction in (edge, edge[::-1]))
        return 100.0 * max(self.shares.get(direction, 0.0) for direction in directions)

    @property
    def busiest(self) -> str:
        """Name and utilisation of the busiest link."""
        edge = max(self.shares, key=lambda edge: self.shares[edge])
        return f"{_name(edge)} {style.percent(self.shares[edge])}"


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run; its height grows with the number of tiers."""
    pictures = [condensed(run.fleet.topology) for run in results]
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
    """Draw one mark per group of similar vertices; a line has the colour of its busiest link.

    The colour is the mean utilisation of a link over the run: column `utilisation` of the table of
    links if it exists, else the utilisation by KV transfers. The memory of a device has the
    utilisation by its engine. If no bytes moved, colours are the links' bandwidths.
    """
    shown = style.variants(results)
    pictures = [_picture(variant.results) for variant in shown]
    by_capacity = not any(share > 0.0 for picture in pictures for share in picture.shares.values())
    values = [picture.values(by_capacity=by_capacity) for picture in pictures]
    norm: Normalize = Normalize(0.0, 100.0)
    colours: Colormap = _BUSY
    if by_capacity:
        norm = _magnitudes([value for of_run in values for value in of_run.values()])
        colours = colormaps["viridis_r"]
    for variant, panel, picture, of_run in zip(shown, axes, pictures, values, strict=True):
        faces = {bundle: colours(norm(value)) for bundle, value in of_run.items()}
        _draw_run(panel, picture, of_run, faces)
        nodes = len({picture.topology.node(place) for place in picture.topology.places()} - {None})
        style.title(panel, f"{variant.label}: {f'{nodes} nodes' if nodes > 1 else 'one node'}")
    _draw_scale(axes, ScalarMappable(norm, colours), by_capacity=by_capacity)
    busiest = "; ".join(
        f"{variant.label} {picture.busiest}"
        for variant, picture in zip(shown, pictures, strict=True)
        if picture.shares and not by_capacity
    )
    nothing = "Bandwidth of the links; no bytes moved"
    style.headline(axes[0], f"Busiest link on average: {busiest}" if busiest else nothing)


def _picture(results: Results) -> _Picture:
    topology = results.fleet.topology
    return _Picture(topology, condensed(topology), _utilisation(results))


def _draw_run(
    panel: Axes,
    picture: _Picture,
    values: Mapping[Bundle, float],
    faces: Mapping[Bundle, tuple[float, float, float, float]],
) -> None:
    """Draw a topology; `values` and `faces`: value and colour of each bundle."""
    drawn = picture.condensed
    draw_boxes(panel, drawn)
    order = sorted(drawn.bundles, key=lambda bundle: values[bundle])  # the busiest on top
    draw_bundles(panel, picture.topology, drawn, {bundle: faces[bundle] for bundle in order})
    # a memory has the colour of its only link
    filled: dict[Hashable, tuple[float, float, float, float]] = {
        key: faces[bundle]
        for bundle in drawn.bundles
        for key in (bundle.start, bundle.end)
        if drawn.marks[key].role in MEMORIES
    }
    draw_marks(panel, drawn.marks, filled)
    name_rows(panel, drawn)
    name_links(panel, picture.topology, drawn)
    panel.set_xlim(-0.13 * drawn.columns - 0.3, 1.2 * drawn.columns + 0.3)
    panel.set_ylim(-max(mark.row for mark in drawn.marks.values()) - 0.75, 0.4)


def _draw_scale(axes: Sequence[Axes], colours: ScalarMappable, *, by_capacity: bool) -> None:
    """Draw the scale of colours below all panels."""
    if (figure := axes[0].get_figure(root=True)) is None:
        return
    bar = figure.colorbar(
        colours, ax=list(axes), orientation="horizontal", fraction=0.03, aspect=60, pad=0.01
    )
    bar.ax.tick_params(labelsize=8)
    style.label(
        bar.ax,
        x="bandwidth of a link, one direction [GB/s]"
        if by_capacity
        else "mean utilisation of the busiest link of a line [%]",
    )


def _magnitudes(bandwidths: Sequence[float]) -> Normalize:
    """Return a logarithmic scale of colours over at least a factor of ten."""
    return LogNorm(min(bandwidths), max(*bandwidths, 10.0 * min(bandwidths)))


def _utilisation(results: Results) -> dict[Edge, float]:
    """Return the mean utilisation of each link, by direction; of memories by one direction."""
    shares: defaultdict[Edge, float] = defaultdict(float)
    simulated_s = results.info.simulated_s or float("inf")
    for row in results.links.to_pylist():
        share = (
            row["utilisation"]
            if "utilisation" in row
            else row.get("kv_bytes", 0.0) / (row["bandwidth_bytes_per_s"] * simulated_s)
        )
        edge = row["from"], row["to"]
        shares[edge] = max(shares[edge], share or 0.0)
    for row in results.devices.to_pylist():
        edge = row["device"], f"{row['device']}/memory"
        shares[edge] = max(shares[edge], row["bandwidth_utilisation"] or 0.0)
    return dict(shares)


def _name(edge: Edge) -> str:
    """Return the name of a link: both ends, or the memory for the link of a memory."""
    far = max(edge, key=len)
    is_memory = far.rpartition("/")[2].rstrip("0123456789") in MEMORIES
    return far if is_memory else " to ".join(edge)
