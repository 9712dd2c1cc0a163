"""TTFT of every request over its time of arrival."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import (
    TimeUnit,
    draw_arrivals,
    lay_time_axis,
    mark_warmup,
    rolling,
    time_unit,
    window_s,
)
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.metrics import Finished
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_MOST_POINTS = 20_000


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure, a low panel for arrivals, and a panel for each run."""
    height_in = max(1.5, 2.6 - 0.3 * len(results))
    return style.blank([1.2, *[height_in] * len(results)], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw arrivals [1/s] on the first axes, then TTFT of each finished request on a log scale.

    Each run has one panel; all panels have the same scales. Lines are percentiles of the requests
    that arrived within a window around each time.
    """
    shown = style.variants(results)
    lines = metrics.timelines(results)
    unit = time_unit(lines)
    draw_arrivals(axes[0], shown, lines, unit.second)
    mark_warmup(axes, shown, unit.second)
    done = [metrics.finished(run) for run in results]
    answered = [
        (panel, variant, columns)
        for panel, variant, columns in zip(axes[1:], shown, done, strict=True)
        if len(columns.ttft_s)
    ]
    scale, of = style.latency_unit(*(columns.ttft_s for columns in done))
    for panel, variant, columns in zip(axes[1:], shown, done, strict=True):
        style.label(panel, y=f"TTFT [{of}]")
        style.title(panel, _title(variant, columns.ttft_s))
        if not len(columns.ttft_s):
            style.nothing(panel, "no request finished")
    for panel, variant, columns in answered:
        _draw_points(panel, variant, columns, unit, scale)
        _draw_percentiles(panel, columns, window_s(done), unit, scale)
        _draw_limits(panel, variant, scale)
        panel.set_ylim(*_ends(results, done, scale))
        style.logarithmic(panel, "y")
    lay_time_axis(axes, _last_arrival_s(results) * 1.01 or unit.second, unit.second)
    windows = f"; percentiles over windows of {style.duration(window_s(done))}" if answered else ""
    style.label(axes[-1], x=f"arrival, simulated time [{unit.name}]{windows}")
    for panel, _, _ in answered[:1]:
        style.shared_legend(panel)
    late = ", ".join(
        f"{variant.label} {style.duration(float(np.max(columns.ttft_s)))}"
        for _, variant, columns in answered
    )
    style.headline(axes[0], f"Longest wait for a first token: {late or 'no request finished'}")


def _draw_points(
    panel: Axes, variant: Variant, columns: Finished, unit: TimeUnit, scale: float
) -> None:
    """Draw each request as a point, or a part of very many requests."""
    kept = thinned(columns.ttft_s)
    panel.scatter(
        columns.arrival_s[kept] / unit.second,
        scale * columns.ttft_s[kept],
        s=5.0,
        color=variant.colour,
        alpha=0.35 if len(kept) < 3000 else 0.15,
        linewidths=0.0,
        rasterized=True,
    )
    # for the legend, in a colour that no variant has
    panel.scatter([], [], s=5.0, color=style.GREY, label="each request")


def _draw_percentiles(
    panel: Axes, columns: Finished, window_s: float, unit: TimeUnit, scale: float
) -> None:
    """Draw p50 and p99 of the requests around each time."""
    at_s, p50_s, p99_s = rolling(columns.arrival_s, columns.ttft_s, window_s)
    at = at_s / unit.second
    panel.plot(at, scale * p50_s, color="black", linewidth=1.2, label="p50")
    dash = (0, (4.0, 1.5))
    panel.plot(at, scale * p99_s, color="black", linewidth=1.2, linestyle=dash, label="p99")


def _draw_limits(panel: Axes, variant: Variant, scale: float) -> None:
    for limit_s in style.slo_limits([variant.results], "ttft"):
        panel.axhline(scale * limit_s, color=style.LIMIT, linewidth=1.3)
        panel.annotate(
            f"SLO {style.duration(limit_s)}",
            (1.0, scale * limit_s),
            xycoords=panel.get_yaxis_transform(),
            xytext=(0.0, 1.5),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8,
            color=style.LIMIT,
        )


def _ends(
    results: Sequence[Results], done: Sequence[Finished], scale: float
) -> tuple[float, float]:
    """Return the ends of the axis of TTFT, around all requests and SLO limits of all runs."""
    ttft_s = np.concatenate([columns.ttft_s for columns in done])
    limits_s = [limit_s for run in results for limit_s in style.slo_limits([run], "ttft")]
    every_s = np.append(ttft_s, limits_s)
    return scale * float(np.min(every_s)) / 1.5, scale * float(np.max(every_s)) * 2.0


def _last_arrival_s(results: Sequence[Results]) -> float:
    return max(float(np.max(run.requests["arrival_s"].to_numpy(), initial=0.0)) for run in results)


def thinned(ttft_s: Array, most: int = _MOST_POINTS) -> Array:
    """Return the indices of the points that are drawn.

    Parameters
    ----------
    ttft_s
        TTFT of the requests [s].
    most
        Number of points up to which all are drawn. Of more points, the slowest `most` / 100 and
        every n-th other point are drawn.

    Examples
    --------
    >>> thinned(np.array([1.0, 5.0, 1.0, 1.0]), most=2)
    array([0, 1, 2])
    """
    if len(ttft_s) <= most:
        return np.arange(len(ttft_s))
    kept = np.zeros(len(ttft_s), dtype=bool)
    kept[:: -(-len(ttft_s) // most)] = True
    slowest = max(most // 100, 1)
    kept[np.argpartition(ttft_s, -slowest)[-slowest:]] = True
    return np.flatnonzero(kept)


def _title(variant: Variant, ttft_s: Array) -> str:
    if not len(ttft_s):
        return f"{variant.label}: no request finished"
    everyone = int(np.sum(variant.results.requests["counted"].to_numpy()))
    limit_s = variant.results.scenario.slo.ttft_s
    p50_s, p99_s = np.percentile(ttft_s, [50, 99])
    text = f"{variant.label}: p50 {style.duration(p50_s)}, p99 {style.duration(p99_s)}"
    if limit_s is not None:
        within = style.percent(int(np.sum(ttft_s <= limit_s)) / everyone)
        text += f"; {within} of requests within {style.duration(limit_s)}"
    if everyone > len(ttft_s):
        text += f"; {everyone - len(ttft_s)} not answered"
    return text
