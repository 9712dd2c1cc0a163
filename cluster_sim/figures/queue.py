"""Who waits, how long, and when: arrivals, requests in queue, and their time in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import draw_arrivals, lay_time_axis, mark_warmup, time_unit
from cluster_sim.figures.ttft_over_time import rolling
from cluster_sim.results import metrics
from cluster_sim.results.results import Results


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Three panels over one time axis."""
    return style.blank([1.3, 1.9, 2.1], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Arrivals [1/s], requests that wait, and the time in queue of those that arrive, p50 and p99
    of windows, on the three `axes`.

    The time in queue ends with the first step that works on a request; rejected requests never
    wait.
    """
    shown = style.variants(results)
    lines = [metrics.timeline(one) for one in results]
    second, unit = time_unit(lines)
    arrivals, waiting, times = axes
    mark_warmup(axes, shown, second)
    draw_arrivals(arrivals, shown, lines, second)
    for one, line in zip(shown, lines, strict=True):
        waiting.plot(
            line.time_s / second,
            line.waiting,
            color=one.colour,
            linestyle=one.dash,
            linewidth=1.3,
            drawstyle="steps-mid",
            label=one.label,
        )
    waiting.set_ylim(bottom=0.0)
    style.label(waiting, y="waiting [requests]")
    most = [
        f"{one.label} {_few(float(np.max(line.waiting)))}"
        for one, line in zip(shown, lines, strict=True)
    ]
    style.title(waiting, "Requests waiting, mean over a bin, most: " + ", ".join(most))

    done = [metrics.finished(one) for one in results]
    window_s = max(
        (float(np.ptp(one.arrival_s)) / 40 for one in done if len(one.arrival_s)), default=0.0
    )
    scale, of = style.latency_unit(*(one.queue_s for one in done))
    said = []
    for one, columns in zip(shown, done, strict=True):
        if not len(columns.arrival_s):
            said.append(f"{one.label} no request finished")
            continue
        at_s, p50_s, p99_s = rolling(columns.arrival_s, columns.queue_s, window_s)
        times.plot(
            at_s / second,
            scale * p99_s,
            color=one.colour,
            linestyle=one.dash,
            linewidth=1.5,
            label=f"{one.label} p99",
        )
        times.plot(
            at_s / second,
            scale * p50_s,
            color=one.colour,
            linestyle=one.dash,
            linewidth=0.8,
            label=f"{one.label} p50",
        )
        said.append(
            f"{one.label} p50 {_time(np.percentile(columns.queue_s, 50))}, p99 {_time(np.percentile(columns.queue_s, 99))}"
        )
    style.label(times, x=f"simulated time [{unit}]", y=f"time in queue [{of}]")
    if window_s:
        style.title(
            times,
            f"Time in queue of those that arrive, p99 and p50 (thin) over windows of {style.duration(window_s)}",
        )
    else:
        style.title(times, "Time in queue of those that arrive")
        style.nothing(times, "no request finished")
    times.set_ylim(bottom=0.0)
    lay_time_axis(axes, max(line.bin_s * len(line.time_s) for line in lines), second)
    style.shared_legend(waiting)
    if (figure := arrivals.get_figure(root=True)) is not None:
        style.headline(figure, "Time in queue: " + "; ".join(said))


def _few(requests: float) -> str:
    return f"{requests:.0f}" if requests >= 10.0 else f"{requests:.1f}"


def _time(value_s: float) -> str:
    return style.duration(value_s) if value_s >= 5e-7 else "0 ms"
