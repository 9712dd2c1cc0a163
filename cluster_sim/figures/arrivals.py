"""How bursty traffic is: its rate at three time scales, each around the busiest moment of the one
above, and dispersion against window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.results.results import Results
from cluster_sim.workload.statistics import dispersion, gap_cv

_BINS = 150
_CLOSER = 20.0
"""Each scale shows a span so many times shorter than the one above."""
_POINTS = 25
_SHORTEST_S = 0.1
_WINDOWS = 20
"""That fit into the whole time at least, for a dispersion to be drawn: of fewer it is mostly
chance."""

Times = Sequence[tuple[str, str, style.Dash, np.ndarray]]
"""Label, colour, dash and ascending arrival times [s] of each traffic."""


def of_traffic(times_s: Mapping[str, np.ndarray], given: Sequence[Axes] | None = None) -> Figure:
    """The figure of ascending arrival times [s], a name each; given: four axes to draw on."""
    figure, axes = _blank(given)
    _draw(
        [
            (name, *style.look(place), column)
            for place, (name, column) in enumerate(times_s.items())
        ],
        axes,
    )
    return figure


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Four panels, one above the other."""
    return _blank()


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Rates [1/s] of all requests that arrived, at three scales, and their index of dispersion, on
    the four `axes`.
    """
    _draw(
        [
            (one.label, one.colour, one.dash, one.results.requests["arrival_s"].to_numpy())
            for one in style.variants(results)
        ],
        axes,
    )


def _blank(given: Sequence[Axes] | None = None) -> tuple[Figure, list[Axes]]:
    return style.blank([1.5, 1.5, 1.5, 2.5], given=given)


def _draw(shown: Times, axes: Sequence[Axes]) -> None:
    *scales, below = axes
    last_s = max((float(times_s[-1]) for *_, times_s in shown if len(times_s)), default=0.0)
    start_s, end_s = 0.0, last_s
    for place, panel in enumerate(scales):
        start_s, end_s = _rates(
            panel,
            shown,
            start_s,
            end_s,
            "whole time" if place == 0 else "around the busiest moment above",
        )
    style.label(scales[-1], x="simulated time [s]")
    _dispersions(below, shown, last_s)
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(figure, _finding(shown))
    style.shared_legend(scales[0])


def _rates(
    panel: Axes, shown: Times, start_s: float, end_s: float, which: str
) -> tuple[float, float]:
    """Rates between two times; the span around the busiest bin of all, to look at closer."""
    width_s = (end_s - start_s) / _BINS
    style.label(panel, y="arrivals [1/s]")
    if width_s <= 0.0:
        style.title(panel, f"Rate, {which}")
        style.nothing(
            panel,
            "no requests"
            if not any(len(times_s) for *_, times_s in shown)
            else "all requests arrive at once",
        )
        return start_s, end_s
    edges_s = np.linspace(start_s, end_s, _BINS + 1)
    busiest_s, most_per_s = start_s, 0.0
    for name, colour, dash, times_s in shown:
        inside = times_s[
            np.searchsorted(times_s, start_s) : np.searchsorted(times_s, end_s, side="right")
        ]
        rate_per_s = np.histogram(inside, edges_s)[0] / width_s
        panel.stairs(
            rate_per_s,
            edges_s,
            color=colour,
            linestyle=dash,
            linewidth=1.1,
            label=name,
            fill=len(shown) == 1,
            alpha=0.85,
        )
        if (here_per_s := float(np.max(rate_per_s))) > most_per_s:
            busiest_s, most_per_s = (
                float(edges_s[int(np.argmax(rate_per_s))] + width_s / 2),
                here_per_s,
            )
    panel.set_xlim(start_s, end_s)
    panel.set_ylim(bottom=0.0)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))
    style.title(panel, f"Rate in bins of {style.duration(width_s)}, {which}")
    closer_s = (end_s - start_s) / _CLOSER
    begins_s = min(max(busiest_s - closer_s / 2, start_s), end_s - closer_s)
    return begins_s, begins_s + closer_s


def _dispersions(panel: Axes, shown: Times, last_s: float) -> None:
    style.title(
        panel,
        "Index of dispersion: variance of counts over their mean; a Poisson process has 1 at every window",
    )
    style.label(panel, x="window [s]", y="dispersion [-]")
    longest_s = last_s / _WINDOWS
    if longest_s <= _SHORTEST_S:
        style.nothing(panel, "too short a time")
        return
    windows_s = np.geomspace(_SHORTEST_S, longest_s * 0.999, _POINTS)
    for name, colour, dash, times_s in shown:
        found = [dispersion(times_s, window_s) for window_s in windows_s]
        told = [
            (window_s, value)
            for window_s, value in zip(windows_s, found, strict=True)
            if value is not None and value > 0.0
        ]
        if told:
            panel.plot(
                *zip(*told, strict=True),
                color=colour,
                linestyle=dash,
                linewidth=1.8,
                marker="o",
                markersize=2.5,
                label=name,
            )
    panel.axhline(1.0, color=style.GREY, linewidth=1.0, linestyle=(0, (2.0, 2.0)))
    panel.set_xlim(_SHORTEST_S, longest_s)
    style.logarithmic(panel, "x")
    style.logarithmic(panel, "y")


def _finding(shown: Times) -> str:
    said = []
    for name, _, _, times_s in shown:
        cv, at_10_s = gap_cv(times_s), dispersion(times_s, 10.0)
        said.append(
            f"{name} {'-' if cv is None else f'{cv:.3g}'} and {'-' if at_10_s is None else f'{at_10_s:.3g}'}"
        )
    return "CV of gaps, and dispersion of counts in 10 s (Poisson 1 and 1): " + "; ".join(said)
