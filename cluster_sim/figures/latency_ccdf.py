"""Tail of latency: share of requests that take longer than a time, down to one in 10,000."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.latency_panels import (
    KINDS,
    LatencyKind,
    draw_objectives,
    latencies,
    legend_below,
)
from cluster_sim.figures.style import Variant
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_LEAST = 1e-4
"""Lowest share that is drawn: p99.99."""
_STEPS = 600
_TICKS = {1.0: "all", 0.5: "p50", 0.1: "p90", 0.01: "p99", 0.001: "p99.9", 0.0001: "p99.99"}


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and three panels side by side."""
    return style.blank([3.4 + 0.17 * len(results)], columns=3, share_y=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the share of requests that take longer, over TTFT, TPOT and end-to-end latency.

    Both axes of the three panels are logarithmic. Shares refer to all counted requests. A request
    that was rejected or did not finish has infinite latency, so a curve ends at the share of such
    requests. TPOT omits requests with one output token.
    """
    shown = style.variants(results)
    least = max(_LEAST, 0.5 / max(1, *(len(run.requests) for run in results)))
    tails = [_draw_kind(panel, shown, kind, least) for panel, kind in zip(axes, KINDS, strict=True)]
    style.label(axes[0], y="requests that take longer [share, percentile]")
    style.headline(
        axes[0], f"TTFT of the slowest requests: {'; '.join(tails[0]) or 'no request finished'}"
    )


def tail(values_s: Array, everyone: int, least: float) -> tuple[Array, Array]:
    """Return times [s], and the share of requests that take longer than each time.

    Parameters
    ----------
    values_s
        Ascending latencies of finished requests [s].
    everyone
        Number of all counted requests.
    least
        Lowest share that is drawn. The tail is drawn point by point, the rest in coarser steps.

    Examples
    --------
    >>> tail(np.array([1.0, 2.0]), 4, 0.01)
    (array([1., 2.]), array([0.75, 0.5 ]))
    """
    count = len(values_s)
    if not count:
        return np.zeros(0), np.zeros(0)
    steps = np.geomspace(max(everyone * least, 1.0), count, min(count, _STEPS))
    behind = np.unique(steps.astype(np.int64))[::-1]
    rank = np.unique(np.append(count - behind, count - 1))
    return values_s[rank], (everyone - rank - 1) / everyone


def _draw_kind(panel: Axes, shown: Sequence[Variant], kind: LatencyKind, least: float) -> list[str]:
    """Draw one kind of latency of all runs; return a text about the tail of each run."""
    columns = [latencies(variant.results, kind.key) for variant in shown]
    scale, unit = style.latency_unit(*(values_s for values_s, _ in columns))
    style.title(panel, kind.name)
    style.label(panel, x=f"{kind.short} [{unit}]")
    texts = []
    for variant, (values_s, everyone) in zip(shown, columns, strict=True):
        if len(values_s):
            times_s, share = tail(values_s, everyone, least)
            texts.append(_text(variant, values_s, everyone))
            variant.line(
                panel,
                scale * np.append(times_s[:1], times_s),
                np.append(1.0, np.maximum(share, least / 2)),
                linewidth=1.8,
                drawstyle="steps-post",
                label=texts[-1],
            )
    if not texts:
        style.nothing(panel, "no request finished")
        return []
    draw_objectives(panel, shown, kind.key, scale, at_data=False)
    style.logarithmic(panel, "x")
    _lay_share_axis(panel, least)
    legend_below(panel)
    return texts


def _text(variant: Variant, values_s: Array, everyone: int) -> str:
    name, percent = ("p99.9", 99.9) if everyone >= 1000 else ("p99", 99.0)
    slowest = style.duration(float(np.percentile(values_s, percent)))
    return f"{variant.label} {name} {slowest}"


def _lay_share_axis(panel: Axes, least: float) -> None:
    """Make the axis of shares logarithmic, with percentiles at its ticks."""
    panel.set_yscale("log")
    panel.set_ylim(least, 1.15)
    ticks = {at: name for at, name in _TICKS.items() if at >= least}
    texts = [f"{at:g} ({name})" if name != "all" else "1" for at, name in ticks.items()]
    panel.set_yticks(list(ticks), texts)
    panel.minorticks_off()
