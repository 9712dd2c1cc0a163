"""When first tokens are late: TTFT of every request at the time when it arrived, a panel for each
variant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import draw_arrivals, lay_time_axis, mark_warmup, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.results import Results

_MOST_POINTS = 20_000
_WINDOWS = 200
_FEWEST = 5
"""Requests in a window, for percentiles to be drawn there."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A low panel for arrivals, then one for each run."""
    height_in = max(1.5, 2.6 - 0.3 * len(results))
    return style.blank([1.2, *[height_in] * len(results)], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Arrivals [1/s] on the first of `axes`, then TTFT of each finished request, log scale, on one
    for each run.

    All panels share their scales. Lines are percentiles of the requests that arrived within a
    window about each time.
    """
    shown = style.variants(results)
    lines = [metrics.timeline(one) for one in results]
    second, unit = time_unit(lines)
    draw_arrivals(axes[0], shown, lines, second)
    mark_warmup(axes, shown, second)
    done = [metrics.finished(one) for one in results]
    window_s = max(
        (float(np.ptp(one.arrival_s)) / 40 for one in done if len(one.arrival_s)), default=0.0
    )
    scale, of = style.latency_unit(*(one.ttft_s for one in done))
    every_ttft_s = np.concatenate([one.ttft_s for one in done])
    limits = [limit for one in results for limit in style.slo_limits([one], "ttft")]
    for panel, one, column in zip(axes[1:], shown, done, strict=True):
        style.label(panel, y=f"TTFT [{of}]")
        style.title(panel, _said(one, column.ttft_s))
        if not len(column.ttft_s):
            style.nothing(panel, "no request finished")
            continue
        kept = thinned(column.ttft_s)
        panel.scatter(
            column.arrival_s[kept] / second, scale * column.ttft_s[kept], s=5.0, color=one.colour, alpha=0.35 if len(kept) < 3000 else 0.15,
            linewidths=0.0, rasterized=True,
        )  # fmt: skip
        at_s, p50_s, p99_s = rolling(column.arrival_s, column.ttft_s, window_s)
        panel.scatter(
            [], [], s=5.0, color=style.GREY, label="each request"
        )  # for the legend: in no variant's colour
        panel.plot(at_s / second, scale * p50_s, color="black", linewidth=1.2, label="p50")
        panel.plot(
            at_s / second,
            scale * p99_s,
            color="black",
            linewidth=1.2,
            linestyle=(0, (4.0, 1.5)),
            label="p99",
        )
        for limit_s in style.slo_limits([one.results], "ttft"):
            panel.axhline(scale * limit_s, color="#B00020", linewidth=1.3)
            panel.annotate(
                f"SLO {style.duration(limit_s)}", (1.0, scale * limit_s), xycoords=panel.get_yaxis_transform(), xytext=(0.0, 1.5),
                textcoords="offset points", ha="right", va="bottom", fontsize=8, color="#B00020",
            )  # fmt: skip
        low, high = (float(bound(np.append(every_ttft_s, limits))) for bound in (np.min, np.max))
        panel.set_ylim(scale * low / 1.5, scale * high * 2.0)
        style.logarithmic(panel, "y")
    lay_time_axis(
        axes,
        max(
            float(np.max(one.results.requests["arrival_s"].to_numpy(), initial=0.0))
            for one in shown
        )
        * 1.01
        or second,
        second,
    )
    answered = [panel for panel, column in zip(axes[1:], done, strict=True) if len(column.ttft_s)]
    windows = f"; percentiles over windows of {style.duration(window_s)}" if answered else ""
    style.label(axes[-1], x=f"arrival, simulated time [{unit}]{windows}")
    for panel in answered[:1]:
        style.shared_legend(panel)
    if (figure := axes[0].get_figure(root=True)) is not None:
        late = [
            f"{one.label} {style.duration(float(np.max(column.ttft_s)))}"
            for one, column in zip(shown, done, strict=True)
            if len(column.ttft_s)
        ]
        style.headline(
            figure, "Longest wait for a first token: " + (", ".join(late) or "no request finished")
        )


def rolling(
    arrival_s: np.ndarray, ttft_s: np.ndarray, window_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times [s], and p50 and p99 of TTFT [s] of the requests that arrived within `window_s` about
    each; NaN where they are too few.
    """
    if not len(arrival_s):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(arrival_s, kind="stable")
    arrival_s, ttft_s = arrival_s[order], ttft_s[order]
    at_s = np.linspace(arrival_s[0], arrival_s[-1], _WINDOWS)
    firsts, ends = (
        np.searchsorted(arrival_s, at_s - window_s / 2),
        np.searchsorted(arrival_s, at_s + window_s / 2, side="right"),
    )
    found = [
        np.percentile(ttft_s[first:end], [50, 99]) if end - first >= _FEWEST else np.full(2, np.nan)
        for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)
    ]  # fmt: skip
    p50_s, p99_s = np.array(found).T
    return at_s, p50_s, p99_s


def thinned(ttft_s: np.ndarray, most: int = _MOST_POINTS) -> np.ndarray:
    """Which points are drawn: all, or of more than `most` the slowest hundredth and every so
    manieth of the others.
    """
    if len(ttft_s) <= most:
        return np.arange(len(ttft_s))
    kept = np.zeros(len(ttft_s), dtype=bool)
    kept[:: -(-len(ttft_s) // most)] = True
    slowest = max(most // 100, 1)
    kept[np.argpartition(ttft_s, -slowest)[-slowest:]] = True
    return np.flatnonzero(kept)


def _said(one: Variant, ttft_s: np.ndarray) -> str:
    if not len(ttft_s):
        return f"{one.label}: no request finished"
    everyone, limit_s = (
        int(np.sum(one.results.requests["counted"].to_numpy())),
        one.results.scenario.slo.ttft_s,
    )
    p50_s, p99_s = np.percentile(ttft_s, [50, 99])
    text = f"{one.label}: p50 {style.duration(p50_s)}, p99 {style.duration(p99_s)}"
    if limit_s is not None:
        text += f"; {style.percent(int(np.sum(ttft_s <= limit_s)) / everyone)} of requests within {style.duration(limit_s)}"
    if everyone > len(ttft_s):
        text += f"; {everyone - len(ttft_s)} not answered"
    return text
