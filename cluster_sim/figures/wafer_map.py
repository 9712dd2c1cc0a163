"""Where the layers of a model lie on the wafers of one replica, and how full each region is."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.figures import style
from cluster_sim.physics.wafer_placement import Region
from cluster_sim.results.results import Results

_COLUMNS = 4  # wafers beside each other
_MOST = 12  # of a replica that are drawn
_HEIGHT_IN = 3.7


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each wafer of the first pool on wafers among the runs."""
    found = _on_wafers(results)
    wafers = min(len(_by_wafer(found.regions)), _MOST) if found else 1
    columns = min(wafers, _COLUMNS)
    return style.blank([_HEIGHT_IN] * -(-wafers // columns), columns=columns)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Regions as rectangles of cores, coloured by the share of their SRAM that weights take; the
    line is the way of a token.
    """
    deployment = _on_wafers(results)
    if deployment is None:
        style.nothing(axes[0], "no pool of these runs is on wafers")
        return
    wafers = _by_wafer(deployment.regions)
    norm = Normalize(0.0, 1.0)
    grid = deployment.device.wafer
    assert grid is not None
    for panel in axes[len(wafers) :]:
        panel.set_visible(False)
    for panel, (wafer, own) in zip(axes, wafers.items(), strict=False):
        _map(panel, own, norm, grid.columns, grid.rows)
        layers = [part for region in own for part in region.parts if part.is_layer]
        room = min(region.kv_tokens for region in own)
        held = (
            f"layers {layers[0].name.removeprefix('layer ')} to {layers[-1].name.removeprefix('layer ')}"
            if layers
            else own[0].parts[0].name
        )
        said = f",\nKV of {room:,.0f} tokens" if isfinite(room) else ""
        panel.set_title(f"wafer {wafer + 1}: {held}{said}", fontsize=8, loc="left")
        style.label(panel, x="columns [cores]")
    for panel in axes[:: min(len(wafers), _COLUMNS)]:
        style.label(panel, y="rows [cores]")
    if (figure := axes[0].get_figure(root=True)) is not None:
        bar = figure.colorbar(
            ScalarMappable(norm, "cividis"), ax=list(axes), fraction=0.02, pad=0.01
        )
        bar.ax.tick_params(labelsize=8)
        style.label(bar.ax, y="SRAM of a region that its weights take [share]")
        beyond = f"; {len(wafers) - _MOST} wafers more are not drawn" if len(wafers) > _MOST else ""
        wafers_said = "one wafer" if len(wafers) == 1 else f"{len(wafers)} wafers"
        style.headline(
            figure,
            f"{deployment.model.name} on {wafers_said}: KV room for {deployment.kv_tokens:,} tokens{beyond}",
        )


def _on_wafers(results: Sequence[Results]) -> Deployment | None:
    """Return the first deployment on wafers among the runs."""
    for run in results:
        for deployment in run.fleet.deployments:
            if deployment.pool.is_wafer:
                return deployment
    return None


def _by_wafer(regions: Sequence[Region]) -> dict[int, list[Region]]:
    wafers: dict[int, list[Region]] = {}
    for region in regions:
        wafers.setdefault(region.wafer, []).append(region)
    return wafers


def _map(panel: Axes, regions: Sequence[Region], norm: Normalize, columns: int, rows: int) -> None:
    colours = colormaps["cividis"]
    panel.grid(False)
    panel.set_xlim(0, columns)
    panel.set_ylim(rows, 0)
    panel.set_aspect("equal")
    for region in regions:
        share = region.weight_bytes / region.sram_bytes
        panel.add_patch(
            Rectangle(
                (region.column, region.row),
                region.width,
                region.height,
                facecolor=colours(norm(share)),
                edgecolor="white",
                linewidth=0.8,
            )
        )
        name = (
            region.parts[0].name.removeprefix("layer ")
            if len(region.parts) == 1
            else f"{region.parts[0].name} to {region.parts[-1].name}"
        )
        if region.height > 0.03 * rows:
            panel.text(
                *_middle(region),
                name,
                ha="center",
                va="center",
                fontsize=6,
                color="white" if norm(share) < 0.5 else "black",
            )
    across, down = np.array([_middle(region) for region in regions]).T
    panel.plot(across, down, color=style.COLOURS[1], linewidth=0.6, alpha=0.5)


def _middle(region: Region) -> tuple[float, float]:
    return region.column + region.width / 2, region.row + region.height / 2
