"""Layers of a model on the wafers of one replica, with the share of SRAM that weights fill."""

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
from cluster_sim.physics.wafer_regions import Region
from cluster_sim.results.results import Results

_COLUMNS = 4
"""Number of wafers side by side."""
_MOST = 12
"""Maximum number of wafers of a replica that are drawn."""
_HEIGHT_IN = 3.7


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each wafer of a replica of the first pool on wafers."""
    deployment = _on_wafers(results)
    wafers = min(len(_by_wafer(deployment.regions)), _MOST) if deployment else 1
    columns = min(wafers, _COLUMNS)
    return style.blank([_HEIGHT_IN] * -(-wafers // columns), columns=columns)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw regions as rectangles of cores, coloured by the share of SRAM that weights fill.

    The line is the path of a token.
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
    for panel, (wafer, regions) in zip(axes, wafers.items(), strict=False):
        panel.set_xlim(0, grid.columns)
        panel.set_ylim(grid.rows, 0)
        _draw_regions(panel, regions, norm, grid.rows)
        panel.set_title(_title(wafer, regions), fontsize=8, loc="left")
        style.label(panel, x="columns [cores]")
    for panel in axes[:: min(len(wafers), _COLUMNS)]:
        style.label(panel, y="rows [cores]")
    if (figure := axes[0].get_figure(root=True)) is not None:
        bar = figure.colorbar(
            ScalarMappable(norm, "cividis"), ax=list(axes), fraction=0.02, pad=0.01
        )
        bar.ax.tick_params(labelsize=8)
        style.label(bar.ax, y="SRAM of a region filled by weights [share]")
    beyond = f"; {len(wafers) - _MOST} more wafers are not drawn" if len(wafers) > _MOST else ""
    count = "one wafer" if len(wafers) == 1 else f"{len(wafers)} wafers"
    style.headline(
        axes[0],
        f"{deployment.model.name} on {count}: KV cache of {deployment.kv_tokens:,} tokens{beyond}",
    )


def _title(wafer: int, regions: Sequence[Region]) -> str:
    layers = [part for region in regions for part in region.parts if part.is_layer]
    parts = regions[0].parts[0].name
    if layers:
        first, last = (layers[place].name.removeprefix("layer ") for place in (0, -1))
        parts = f"layers {first} to {last}"
    tokens = min(region.kv_tokens for region in regions)
    kv = f",\nKV cache {tokens:,.0f} tokens" if isfinite(tokens) else ""
    return f"wafer {wafer + 1}: {parts}{kv}"


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


def _draw_regions(panel: Axes, regions: Sequence[Region], norm: Normalize, rows: int) -> None:
    """Draw the regions of a wafer with `rows` rows of cores, and the path of a token."""
    colours = colormaps["cividis"]
    panel.grid(visible=False)
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
        if region.height > 0.03 * rows:
            panel.text(
                *_middle(region),
                _name(region),
                ha="center",
                va="center",
                fontsize=6,
                color="white" if norm(share) < 0.5 else "black",
            )
    across, down = np.array([_middle(region) for region in regions]).T
    panel.plot(across, down, color=style.COLOURS[1], linewidth=0.6, alpha=0.5)


def _name(region: Region) -> str:
    first, last = region.parts[0].name, region.parts[-1].name
    return first.removeprefix("layer ") if len(region.parts) == 1 else f"{first} to {last}"


def _middle(region: Region) -> tuple[float, float]:
    return region.column + region.width / 2, region.row + region.height / 2
