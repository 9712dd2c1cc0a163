"""Queueing over time: arrivals, requests in the queue, and their time in the queue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import (
    TimeUnit,
    draw_arrivals,
    draw_waiting,
    end_s,
    lay_time_axis,
    mark_warmup,
    rolling,
    time_unit,
    window_s,
)
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.results import Results
from cluster_sim.typing import Array


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and three panels over one time axis."""
    return style.blank([1.3, 1.9, 2.1], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw arrivals [1/s], waiting requests, and the time in the queue over the time of arrival.

    Times are p50 and p99 of windows. The time in the queue ends with the first step that has tokens
    of the request. Rejected requests never wait.
    """
    shown = style.variants(results)
    lines = metrics.timelines(results)
    unit = time_unit(lines)
    arrivals, waiting, times = axes
    mark_warmup(axes, shown, unit.second)
    draw_arrivals(arrivals, shown, lines, unit.second)
    draw_waiting(waiting, shown, lines, unit.second)
    style.label(waiting, y="waiting [requests]")
    most = [
        f"{variant.label} {_few(float(np.max(line.waiting)))}"
        for variant, line in zip(shown, lines, strict=True)
    ]
    style.title(waiting, "Requests waiting, maximum of means over a bin: " + ", ".join(most))
    texts = _draw_times(times, shown, unit)
    lay_time_axis(axes, end_s(lines), unit.second)
    style.shared_legend(waiting)
    style.headline(arrivals, "Time in queue: " + "; ".join(texts))


def _draw_times(panel: Axes, shown: Sequence[Variant], unit: TimeUnit) -> list[str]:
    """Draw the times in the queue; return a text about each run."""
    done = [metrics.finished(variant.results) for variant in shown]
    scale, of = style.latency_unit(*(columns.queue_s for columns in done))
    width_s = window_s(done)
    texts = []
    for variant, columns in zip(shown, done, strict=True):
        if not len(columns.arrival_s):
            texts.append(f"{variant.label} no request finished")
            continue
        at_s, p50_s, p99_s = rolling(columns.arrival_s, columns.queue_s, width_s)
        for name, values_s, width in (("p99", p99_s, 1.5), ("p50", p50_s, 0.8)):
            variant.line(
                panel,
                at_s / unit.second,
                scale * values_s,
                linewidth=width,
                label=f"{variant.label} {name}",
            )
        texts.append(f"{variant.label} {_percentiles(columns.queue_s)}")
    style.label(panel, x=f"simulated time [{unit.name}]", y=f"time in queue [{of}]")
    lead = "Time in queue by arrival"
    if width_s:
        windows = f"windows of {style.duration(width_s)}"
        style.title(panel, f"{lead}, p99 and p50 (thin) over {windows}")
    else:
        style.title(panel, lead)
        style.nothing(panel, "no request finished")
    panel.set_ylim(bottom=0.0)
    return texts


def _percentiles(queue_s: Array) -> str:
    p50_s, p99_s = (np.percentile(queue_s, percent) for percent in (50, 99))
    return f"p50 {_time(p50_s)}, p99 {_time(p99_s)}"


def _few(requests: float) -> str:
    return f"{requests:.0f}" if requests >= 10.0 else f"{requests:.1f}"


def _time(value_s: float) -> str:
    return style.duration(value_s) if value_s >= 5e-7 else "0 ms"
