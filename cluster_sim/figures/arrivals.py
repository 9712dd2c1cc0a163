"""Burstiness of traffic: rate at three time scales, and index of dispersion over window length.

Each scale shows the time around the busiest moment of the scale above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.figures.literal_text import draw_literally
from cluster_sim.results.results import Results
from cluster_sim.typing import Array
from cluster_sim.workload.statistics import dispersion, gap_cv

_BINS = 150
_CLOSER = 20.0
"""Factor by which the time span of a scale is shorter than that of the scale above."""
_POINTS = 25
_SHORTEST_S = 0.1
_WINDOWS = 20
"""Minimum number of windows in the whole time for a dispersion to be drawn. The dispersion of fewer
windows is mostly chance."""


class ShownArrivals(NamedTuple):
    """Arrivals of one workload, with its colour and dash in every panel."""

    label: str
    colour: str
    dash: style.Dash
    times_s: Array
    """Ascending arrival times [s]."""


class _TimeSpan(NamedTuple):
    """Part of the simulated time."""

    start_s: float
    end_s: float


def of_traffic(times_s: Mapping[str, Array], given: Sequence[Axes] | None = None) -> Figure:
    """Draw the arrivals of workloads that were not simulated.

    Parameters
    ----------
    times_s
        Ascending arrival times of each workload [s], by name.
    given
        Four axes to draw on. Default: a new figure.

    Returns
    -------
    Figure
        Figure with three panels of rates [1/s] and one of the index of dispersion.

    Examples
    --------
    >>> len(of_traffic({"every second": np.arange(100.0)}).axes)
    4
    """
    figure, axes = _blank(given)
    _draw(
        [
            ShownArrivals(style.in_legend(name), *style.look(place), column)
            for place, (name, column) in enumerate(times_s.items())
        ],
        axes,
    )
    return draw_literally(figure, given)


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return four panels, one above the other."""
    return _blank()


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw rates [1/s] of all requests at three scales, and their index of dispersion."""
    _draw(
        [
            ShownArrivals(
                variant.label,
                variant.colour,
                variant.dash,
                variant.results.requests["arrival_s"].to_numpy(),
            )
            for variant in style.variants(results)
        ],
        axes,
    )


def _blank(given: Sequence[Axes] | None = None) -> tuple[Figure, list[Axes]]:
    return style.blank([1.5, 1.5, 1.5, 2.5], given=given)


def _draw(shown: Sequence[ShownArrivals], axes: Sequence[Axes]) -> None:
    *scales, below = axes
    last_s = max(
        (float(traffic.times_s[-1]) for traffic in shown if len(traffic.times_s)), default=0.0
    )
    span = _TimeSpan(0.0, last_s)
    for place, panel in enumerate(scales):
        text = "whole time" if place == 0 else "around the busiest moment of the panel above"
        span = _draw_rates(panel, shown, span, text)
    style.label(scales[-1], x="simulated time [s]")
    _draw_dispersions(below, shown, last_s)
    style.headline(axes[0], _finding(shown))
    style.shared_legend(scales[0])


def _draw_rates(
    panel: Axes, shown: Sequence[ShownArrivals], span: _TimeSpan, text: str
) -> _TimeSpan:
    """Draw the rates within a time span; return the shorter span around the busiest bin."""
    start_s, end_s = span
    width_s = (end_s - start_s) / _BINS
    style.label(panel, y="arrivals [1/s]")
    if width_s <= 0.0:
        style.title(panel, f"Rate, {text}")
        some = any(len(traffic.times_s) for traffic in shown)
        style.nothing(panel, "all requests arrive at the same time" if some else "no requests")
        return span
    edges_s = np.linspace(start_s, end_s, _BINS + 1)
    busiest_s, most_per_s = start_s, 0.0
    for traffic in shown:
        times_s = traffic.times_s
        first = np.searchsorted(times_s, start_s)
        last = np.searchsorted(times_s, end_s, side="right")
        rate_per_s = np.histogram(times_s[first:last], edges_s)[0] / width_s
        panel.stairs(
            rate_per_s,
            edges_s,
            color=traffic.colour,
            linestyle=traffic.dash,
            linewidth=1.1,
            label=traffic.label,
            fill=len(shown) == 1,
            alpha=0.85,
        )
        if (highest_per_s := float(np.max(rate_per_s))) > most_per_s:
            busiest_s = float(edges_s[int(np.argmax(rate_per_s))] + width_s / 2)
            most_per_s = highest_per_s
    panel.set_xlim(start_s, end_s)
    panel.set_ylim(bottom=0.0)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))
    style.title(panel, f"Rate in bins of {style.duration(width_s)}, {text}")
    closer_s = (end_s - start_s) / _CLOSER
    begins_s = min(max(busiest_s - closer_s / 2, start_s), end_s - closer_s)
    return _TimeSpan(begins_s, begins_s + closer_s)


def _draw_dispersions(panel: Axes, shown: Sequence[ShownArrivals], last_s: float) -> None:
    style.title(
        panel,
        "Index of dispersion: variance / mean of the number of arrivals per window (Poisson process: 1)",
    )
    style.label(panel, x="length of window [s]", y="dispersion [-]")
    longest_s = last_s / _WINDOWS
    if longest_s <= _SHORTEST_S:
        style.nothing(panel, f"the time is too short for {_WINDOWS} windows")
        return
    windows_s = np.geomspace(_SHORTEST_S, longest_s * 0.999, _POINTS)
    for traffic in shown:
        points = [
            (window_s, value)
            for window_s in windows_s
            if (value := dispersion(traffic.times_s, window_s)) is not None and value > 0.0
        ]
        if points:
            panel.plot(
                *zip(*points, strict=True),
                color=traffic.colour,
                linestyle=traffic.dash,
                linewidth=1.8,
                marker="o",
                markersize=2.5,
                label=traffic.label,
            )
    panel.axhline(1.0, color=style.GREY, linewidth=1.0, linestyle=style.DOTTED)
    panel.set_xlim(_SHORTEST_S, longest_s)
    style.logarithmic(panel, "x")
    style.logarithmic(panel, "y")


def _finding(shown: Sequence[ShownArrivals]) -> str:
    texts = []
    for traffic in shown:
        cv, at_10_s = gap_cv(traffic.times_s), dispersion(traffic.times_s, 10.0)
        values = ("-" if value is None else f"{value:.3g}" for value in (cv, at_10_s))
        texts.append(f"{traffic.label} {' and '.join(values)}")
    return "CV of gaps, and dispersion in windows of 10 s (Poisson: 1 and 1): " + "; ".join(texts)
