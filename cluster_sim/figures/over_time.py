"""Parts of figures over simulated time: time axis, warm-up, arrivals, moving percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.metrics import Finished
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.typing import Array

_WINDOWS = 200
_FEWEST = 5
"""Minimum number of requests in a window for percentiles to be drawn."""


class TimeUnit(NamedTuple):
    """Unit of a time axis."""

    second: float
    """Length of the unit [s]."""
    name: str


def unit_up_to(last_s: float) -> TimeUnit:
    """Return the unit of a time axis: s up to 10 min, min up to 10 h, then h.

    >>> unit_up_to(3600.0)
    TimeUnit(second=60.0, name='min')
    """
    if last_s <= 600.0:
        return TimeUnit(1.0, "s")
    return TimeUnit(60.0, "min") if last_s <= 36_000.0 else TimeUnit(3600.0, "h")


def time_unit(lines: Sequence[Timeline]) -> TimeUnit:
    """Return the unit of a time axis for these runs."""
    return unit_up_to(end_s(lines))


def end_s(lines: Sequence[Timeline]) -> float:
    """Return the end of the longest of some runs [s]."""
    return max(line.bin_s * len(line.time_s) for line in lines)


def lay_time_axis(axes: Sequence[Axes], last_s: float, second: float) -> None:
    """Set the shared time axis of `axes` to 0 to `last_s` [s], with round ticks.

    Parameters
    ----------
    axes
        Axes that share their x axis.
    last_s
        End of the axis [s].
    second
        Seconds per unit of the axis.
    """
    axes[-1].set_xlim(0.0, last_s / second)
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))


def mark_warmup(axes: Sequence[Axes], shown: Sequence[Variant], second: float) -> None:
    """Shade the warm-up on every panel, and name it on the first panel."""
    until_s = {variant.results.scenario.warmup_s for variant in shown}
    if len(until_s) == 1 and (warmup_s := until_s.pop()) > 0.0:
        for panel in axes:
            panel.axvspan(0.0, warmup_s / second, color="#eeeeee", zorder=0, linewidth=0.0)
        axes[0].text(
            0.0,
            0.97,
            " warm-up",
            transform=axes[0].get_xaxis_transform(),
            fontsize=8,
            color="#333333",
            va="top",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )


def draw_arrivals(
    panel: Axes, shown: Sequence[Variant], lines: Sequence[Timeline], second: float
) -> None:
    """Draw arrivals [1/s]: one grey area if all runs have equal arrivals, else a line per run."""
    first = shown[0].results.requests["arrival_s"]
    if all(variant.results.requests["arrival_s"].equals(first) for variant in shown[1:]):
        # the bins of the longest run hold all arrivals
        line = max(lines, key=lambda line: line.bin_s * len(line.time_s))
        edges = np.append(line.time_s - line.bin_s / 2, line.time_s[-1] + line.bin_s / 2) / second
        # with an outline, so that a single bin is visible
        panel.stairs(line.arrival_per_s, edges, fill=True, color="#aaaaaa", linewidth=0.8)
        text = f"{len(first):,} requests"
        if last_s := float(np.max(first.to_numpy(), initial=0.0)):
            text += f", {_rate(len(first) / last_s)} on average"
        highest = _rate(float(np.max(line.arrival_per_s)))
        style.title(panel, f"Arrivals: {text}, maximum of a bin {highest}")
    else:
        for variant, line in zip(shown, lines, strict=True):
            variant.line(
                panel,
                line.time_s / second,
                line.arrival_per_s,
                linewidth=1.2,
                drawstyle="steps-mid",
                label=variant.label,
            )
        counts = style.listed(shown, lambda variant: f"{len(variant.results.requests)} requests")
        style.title(panel, f"Arrivals: {counts}")
    panel.set_ylim(bottom=0.0)
    style.label(panel, y="arrivals [1/s]")


def draw_waiting(
    panel: Axes, shown: Sequence[Variant], lines: Sequence[Timeline], second: float
) -> None:
    """Draw the number of waiting requests over time, one line per run."""
    for variant, line in zip(shown, lines, strict=True):
        variant.line(
            panel,
            line.time_s / second,
            line.waiting,
            linewidth=1.3,
            drawstyle="steps-mid",
            label=variant.label,
        )
    panel.set_ylim(bottom=0.0)


def window_s(done: Sequence[Finished]) -> float:
    """Return the length of the windows of moving percentiles for some runs [s]."""
    return max(
        (float(np.ptp(columns.arrival_s)) / 40 for columns in done if len(columns.arrival_s)),
        default=0.0,
    )


def rolling(arrival_s: Array, latency_s: Array, window_s: float) -> tuple[Array, Array, Array]:
    """Return moving percentiles of a latency over the time of arrival.

    Parameters
    ----------
    arrival_s
        Arrival times of requests [s].
    latency_s
        Latencies of the requests [s].
    window_s
        Length of the window around each time [s].

    Returns
    -------
    at_s, p50_s, p99_s : Array
        Times, and p50 and p99 of the latency of requests that arrived in the window around each
        time [s]. They are NaN for windows with fewer than 5 requests.
    """
    if not len(arrival_s):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(arrival_s, kind="stable")
    arrival_s, latency_s = arrival_s[order], latency_s[order]
    at_s = np.linspace(arrival_s[0], arrival_s[-1], _WINDOWS)
    firsts = np.searchsorted(arrival_s, at_s - window_s / 2)
    ends = np.searchsorted(arrival_s, at_s + window_s / 2, side="right")
    percentiles = [
        np.percentile(latency_s[first:end], [50, 99])
        if end - first >= _FEWEST
        else np.full(2, np.nan)
        for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)
    ]
    p50_s, p99_s = np.array(percentiles).T
    return at_s, p50_s, p99_s


def _rate(per_s: float) -> str:
    return f"{per_s:.3g}/s" if per_s < 999.5 else f"{per_s:.0f}/s"
