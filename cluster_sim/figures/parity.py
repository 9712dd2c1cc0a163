"""Predicted over measured values, one panel per metric, with a band of errors within 10 %."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.literal_text import draw_literally

_BAND = 0.1
_COLUMNS = 3
_NAMED = 3  # metrics with the most values, which the headline names

Point = tuple[float, float, str]
"""Measured value, predicted value, and name of the group."""


def parity(panels: Mapping[str, Sequence[Point]], given: Sequence[Axes] | None = None) -> Figure:
    """Draw predicted over measured values.

    Both axes of a panel are logarithmic and have equal ends. Points of one group have the same
    colour and mark in every panel.

    Parameters
    ----------
    panels
        Points of each panel by its title with a unit, such as "TTFT [ms]". All values are above 0.
    given
        Axes to draw on. Default: a new figure.

    Returns
    -------
    Figure
        Figure with one panel per key.

    Examples
    --------
    >>> parity({"TPOT [ms]": [(20.0, 21.0, "H200")]}).get_suptitle()
    'Predictions within 10 % of the measurement: TPOT 100 %'
    """
    groups = list(
        dict.fromkeys(sorted(group for points in panels.values() for *_, group in points))
    )
    columns = min(max(len(panels), 1), _COLUMNS)
    figure, axes = style.blank(
        [3.3] * (-(-max(len(panels), 1) // columns)), columns=columns, given=given
    )
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    for panel, (name, points) in zip(axes, panels.items(), strict=False):
        _draw(panel, name, points, groups)
    if not panels:
        style.nothing(axes[0], "no measurement")
    handles = {
        text: handle
        for panel in axes
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=8,
        fontsize=9,
        frameon=False,
        markerscale=2.0,
    )
    style.headline(axes[0], _finding(panels))
    return draw_literally(figure, given)


def _draw(panel: Axes, name: str, points: Sequence[Point], groups: Sequence[str]) -> None:
    measured, predicted = (
        np.array([point[side] for point in points], dtype=float) for side in (0, 1)
    )
    low = 0.8 * min(measured.min(), predicted.min())
    high = 1.25 * max(measured.max(), predicted.max())
    ends = np.array([low, high])
    panel.fill_between(
        ends,
        (1 - _BAND) * ends,
        (1 + _BAND) * ends,
        color="#dddddd",
        linewidth=0,
        label="within 10 %",
        zorder=1,
    )
    panel.plot(ends, ends, color=style.GREY, linewidth=0.8, zorder=1.5)
    for place, group in enumerate(groups):
        is_in_group = np.array([point[2] == group for point in points])
        if is_in_group.any():
            panel.plot(
                measured[is_in_group],
                predicted[is_in_group],
                style.MARKS[(place + place // len(style.COLOURS)) % len(style.MARKS)],
                markersize=3.0,
                color=style.COLOURS[place % len(style.COLOURS)],
                alpha=0.5,
                markeredgewidth=0,
                label=group,
                zorder=2,
            )
    panel.set_xlim(low, high)
    panel.set_ylim(low, high)
    for axis in ("x", "y"):
        style.logarithmic(panel, axis)
    error = np.abs(predicted / measured - 1.0)
    median, nine_tenths = 100 * np.median(error), 100 * np.percentile(error, 90)
    style.title(
        panel,
        f"{name}: {len(points):,} runs, median error {median:.0f}\xa0%, 90\xa0% below "
        f"{nine_tenths:.0f}\xa0%",
        width=36,
    )
    style.label(panel, x="measured", y="predicted")


def _finding(panels: Mapping[str, Sequence[Point]]) -> str:
    shares = {
        name: np.mean(
            [abs(predicted / measured - 1.0) <= _BAND for measured, predicted, _ in points]
        )
        for name, points in panels.items()
    }
    named = sorted(panels, key=lambda name: -len(panels[name]))[:_NAMED]
    text = "; ".join(
        f"{name.partition(' [')[0]} {style.percent(float(share))}"
        for name, share in shares.items()
        if name in named
    )
    return f"Predictions within 10 % of the measurement: {text}" if text else "No measurement"
