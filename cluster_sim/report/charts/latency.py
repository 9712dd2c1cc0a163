"""Charts of latency distributions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.latency_ccdf import tail
from cluster_sim.figures.latency_panels import KINDS, LatencyKind, latencies
from cluster_sim.report.charts.chart import Chart, plain
from cluster_sim.report.charts.view import View, limits
from cluster_sim.typing import Array

_MOST_CURVE = 240
"""Maximum number of points of the curve of one run."""
_LEAST = 1e-4


def latency_charts(shown: Sequence[View]) -> list[Chart]:
    """Return two charts for each kind of latency that some run has."""
    return [chart for kind in KINDS for chart in _of_kind(shown, kind)]


def _of_kind(shown: Sequence[View], kind: LatencyKind) -> Iterator[Chart]:
    """Yield the charts of the share of requests within a time, and of the tail."""
    columns = [latencies(view.results, kind.key) for view in shown]
    scale, unit = style.latency_unit(*(values_s for values_s, _ in columns))
    if not any(len(values_s) for values_s, _ in columns):
        return
    x_s = _places_s(columns)
    within = [
        np.searchsorted(values_s, x_s, side="right") / max(everyone, 1)
        for values_s, everyone in columns
    ]
    slowest = ", ".join(
        f"{view.label} {style.duration(float(np.percentile(values_s, 99)))}"
        for view, (values_s, _) in zip(shown, columns, strict=True)
        if len(values_s)
    )
    x, label = plain(scale * x_s), f"{kind.short} [{unit}]"
    objectives = list(limits(shown, kind.key, "x", scale))
    yield Chart(
        f"{kind.short}, p99: {slowest}",
        label,
        "within this latency [%]",
        [view.series(100.0 * share, "steps") for view, share in zip(shown, within, strict=True)],
        x,
        x_log=True,
        y_max=100.0,
        limits=objectives,
    )
    yield Chart(
        f"{kind.short}: share of requests that take longer",
        label,
        "take longer [share]",
        [
            view.series(np.where(share < 1.0, 1.0 - share, np.nan), "steps")
            for view, share in zip(shown, within, strict=True)
        ],
        x,
        x_log=True,
        y_log=True,
        limits=objectives,
    )


def _places_s(columns: Sequence[tuple[Array, int]]) -> Array:
    """Return times [s] at which the curves of all runs are drawn."""
    tails = [tail(values_s, everyone, _LEAST)[0] for values_s, everyone in columns if len(values_s)]
    thinned = [times_s[:: max(len(times_s) // _MOST_CURVE, 1)] for times_s in tails]
    x_s = np.unique(np.concatenate(thinned + [times_s[-1:] for times_s in tails]))
    places_s: Array = x_s[x_s > 0.0]
    return places_s
