"""Which devices are hot and which throttle: each at its place in its node, a panel for each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.results.results import Results

_MOST_NODES = 24
_MOST_NUMBERS = 16
"""Devices of a node beyond which their numbers would not fit."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, as high as it has nodes."""
    return style.blank([0.9 + 0.42 * min(_nodes(one), _MOST_NODES) for one in results])


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Colour: share of the run for which heat held the device's clock down; number: its highest die
    temperature [°C].

    Devices in the order in which they stand, front ones first; of many nodes those that throttled
    most.
    """
    shown, norm = style.variants(results), Normalize(0.0, 1.0)
    image = None
    for one, panel in zip(shown, axes, strict=True):
        style.label(panel, x="device of the node [number]", y="node\n[pool/number]")
        panel.grid(False)
        names, share, die_c = _cells(one.results)
        if not names:
            style.title(panel, f"{one.label}: nothing is said of the site's inlet")
            style.nothing(panel, "nothing is said of the site's inlet")
            continue
        image = panel.imshow(
            share, aspect="auto", cmap="inferno_r", norm=norm, interpolation="none"
        )
        panel.set_facecolor("#dddddd")
        panel.set_yticks(range(len(names)), names)
        panel.set_xticks(range(0, share.shape[1], max(1, share.shape[1] // _MOST_NUMBERS)))
        if share.shape[1] <= _MOST_NUMBERS:
            for (row, column), value in np.ndenumerate(die_c):
                if not np.isnan(value):
                    panel.text(
                        column,
                        row,
                        f"{value:.0f}°",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white" if share[row, column] > 0.5 else "black",
                    )
        most = float(np.nanmax(share))
        throttled = int(np.sum(share > 0.0))
        style.title(
            panel, f"{one.label}: {throttled} of {int(np.sum(~np.isnan(share)))} devices throttled, for {style.percent(most)} of the run at most; "
            f"die {float(np.nanmin(die_c)):.0f} to {float(np.nanmax(die_c)):.0f} °C at most" + ("; grey: empty" if np.isnan(share).any() else ""),
        )  # fmt: skip
    figure = axes[0].get_figure(root=True)
    if figure is not None:
        if image is not None:
            bar = figure.colorbar(image, ax=list(axes), fraction=0.025)
            style.label(bar.ax, y="share of the run throttled by heat [1]")
            style.title(bar.ax, " ")
            bar.ax.tick_params(labelsize=8)
        style.headline(
            figure,
            "Share of device time throttled by heat: "
            + ", ".join(f"{one.label} {_said(one.results)}" for one in shown),
        )


def _nodes(results: Results) -> int:
    return max(sum(pool.nodes for pool in results.scenario.cluster.pools), 1)


def _cells(results: Results) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(nodes, share of the run throttled, highest die temperatures), arrays of (nodes, devices),
    NaN where nothing is known.
    """
    devices, simulated_s = results.devices, results.info.simulated_s or 1.0
    if "max_die_c" not in devices.column_names:
        return [], np.zeros((0, 0)), np.zeros((0, 0))
    rows = [
        row
        for row in zip(
            *(devices[name].to_pylist() for name in ("device", "throttled_s", "max_die_c")),
            strict=True,
        )
        if row[2] is not None
    ]
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
    return nodes, share, die_c


def _said(results: Results) -> str:
    share = results.summary().get("throttled_fraction")
    return "not known" if share is None else style.percent(share)
