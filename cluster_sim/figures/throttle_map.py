"""Temperature and throttling of each device, by its position in its node; one panel per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_MOST_NODES = 24
_MOST_NUMBERS = 16
"""Maximum number of devices per node for which temperatures fit as numbers."""
_NOTHING = "temperatures are not simulated: the scenario has no site.inlet"


class _Cells(NamedTuple):
    """Devices of a run, in arrays of shape (nodes, devices); NaN for unknown values."""

    nodes: list[str]
    """Names of the nodes."""
    share: Array
    """Share of the run for which heat reduced the clock."""
    die_c: Array
    """Highest temperature of the die [degC]."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run; its height grows with the number of nodes."""
    return style.blank([0.9 + 0.42 * min(_nodes(run), _MOST_NODES) for run in results])


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the share of the run for which heat reduced each device's clock, as a colour.

    Numbers are the highest die temperatures [degC]. Devices are in the order of their positions in
    the air flow, front first. Of more than 24 nodes, the nodes that throttled most are drawn.
    """
    shown = style.variants(results)
    images = [
        image
        for variant, panel in zip(shown, axes, strict=True)
        if (image := _draw_run(panel, variant)) is not None
    ]
    if images and (figure := axes[0].get_figure(root=True)) is not None:
        bar = figure.colorbar(images[-1], ax=list(axes), fraction=0.025)
        style.label(bar.ax, y="share of the run throttled by heat [-]")
        style.title(bar.ax, " ")
        bar.ax.tick_params(labelsize=8)
    style.headline(
        axes[0], f"Share of device time throttled by heat: {style.listed(shown, _throttled)}"
    )


def _draw_run(panel: Axes, variant: Variant) -> AxesImage | None:
    """Draw the devices of a run; return None if temperatures were not simulated."""
    style.label(panel, x="device in the node [number]", y="node\n[pool/number]")
    panel.grid(visible=False)
    cells = _cells(variant.results)
    if not cells.nodes:
        style.title(panel, f"{variant.label}: {_NOTHING}")
        style.nothing(panel, _NOTHING)
        return None
    devices = cells.share.shape[1]
    image = panel.imshow(
        cells.share, aspect="auto", cmap="inferno_r", norm=Normalize(0.0, 1.0), interpolation="none"
    )
    panel.set_facecolor("#dddddd")
    panel.set_yticks(range(len(cells.nodes)), cells.nodes)
    panel.set_xticks(range(0, devices, max(1, devices // _MOST_NUMBERS)))
    if devices <= _MOST_NUMBERS:
        _draw_temperatures(panel, cells)
    style.title(panel, _title(variant, cells))
    return image


def _draw_temperatures(panel: Axes, cells: _Cells) -> None:
    for (row, column), value in np.ndenumerate(cells.die_c):
        if not np.isnan(value):
            panel.text(
                column,
                row,
                f"{value:.0f}°",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if cells.share[row, column] > 0.5 else "black",
            )


def _title(variant: Variant, cells: _Cells) -> str:
    known, throttled = int(np.sum(~np.isnan(cells.share))), int(np.sum(cells.share > 0.0))
    most = style.percent(float(np.nanmax(cells.share)))
    low_c, high_c = float(np.nanmin(cells.die_c)), float(np.nanmax(cells.die_c))
    rest = "; grey: no device" if np.isnan(cells.share).any() else ""
    return (
        f"{variant.label}: {throttled} of {known} devices throttled, for up to {most} of the run; "
        f"highest die temperatures {low_c:.0f} to {high_c:.0f} °C{rest}"
    )


def _nodes(results: Results) -> int:
    return max(sum(pool.nodes for pool in results.scenario.cluster.pools), 1)


def _cells(results: Results) -> _Cells:
    """Return the devices of a run whose temperatures are known."""
    devices, simulated_s = results.devices, results.info.simulated_s or 1.0
    if "max_die_c" not in devices.column_names:
        return _Cells([], np.zeros((0, 0)), np.zeros((0, 0)))
    columns = (devices[name].to_pylist() for name in ("device", "throttled_s", "max_die_c"))
    rows = [row for row in zip(*columns, strict=True) if row[2] is not None]
    nodes = list(dict.fromkeys(name.rpartition("/")[0] for name, _, _ in rows))
    wide = max((pool.node.devices for pool in results.scenario.cluster.pools), default=1)
    share, die_c = np.full((len(nodes), wide), np.nan), np.full((len(nodes), wide), np.nan)
    for name, throttled_s, highest_c in rows:
        node, _, device = name.rpartition("/")
        at = nodes.index(node), int(device.removeprefix("device"))
        share[at], die_c[at] = throttled_s / simulated_s, highest_c
    if len(nodes) > _MOST_NODES:
        worst = sorted(np.argsort(-np.nansum(share, axis=1), kind="stable")[:_MOST_NODES].tolist())
        nodes, share, die_c = [nodes[place] for place in worst], share[worst], die_c[worst]
    return _Cells(nodes, share, die_c)


def _throttled(variant: Variant) -> str:
    share = variant.results.summary().get("throttled_fraction")
    return "not known" if share is None else style.percent(share)
