"""Charts of requests within the SLO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.over_time import time_unit
from cluster_sim.report.charts.chart import TIME, Chart, Limit, plain
from cluster_sim.report.charts.view import View
from cluster_sim.results import metrics
from cluster_sim.typing import Array

_Judged = Sequence[tuple[View, Array]]
"""Runs with an SLO, and per request the smallest factor on all limits that it would meet."""


def goodput_charts(shown: Sequence[View]) -> list[Chart]:
    """Return the charts of requests within the SLO over time, and with scaled limits.

    There are no charts if no run has an SLO.
    """
    judged = [
        (view, factors)
        for view in shown
        if (factors := metrics.strictness(view.results)) is not None and len(factors)
    ]
    return [_over_time(shown, judged), _strictness(judged)] if judged else []


def _over_time(shown: Sequence[View], judged: _Judged) -> Chart:
    second, unit = time_unit([view.line for view in shown])
    last_s = max(float(np.max(view.results.requests["arrival_s"].to_numpy())) for view, _ in judged)
    edges_s = np.linspace(0.0, last_s * (1 + 1e-9) or 1.0, 101)
    good, texts = [], []
    for view, factors in judged:
        arrival_s = view.results.requests["arrival_s"].to_numpy()[metrics.is_judged(view.results)]
        per_bin = np.histogram(arrival_s[factors <= 1.0], edges_s)[0]
        good.append(view.series(per_bin / (edges_s[1] - edges_s[0]), "steps"))
        texts.append(f"{view.label} {view.summary['request_goodput']:.3g}/s")
    return Chart(
        f"Requests within the SLO by arrival, mean: {', '.join(texts)}",
        f"arrival, simulated time [{unit}]",
        "requests within SLO [1/s]",
        good,
        plain(edges_s[:-1] / second),
        sync=TIME,
    )


def _strictness(judged: _Judged) -> Chart:
    at = np.geomspace(0.1, 10.0, 200)
    within = ", ".join(
        f"{view.label} {style.percent(float(np.mean(factors <= 1.0)))}" for view, factors in judged
    )
    return Chart(
        f"Share within the SLO if all limits were multiplied by a factor; factor 1: {within}",
        "factor on all limits [-]",
        "within the SLO [%]",
        [
            view.series(100.0 * np.searchsorted(np.sort(factors), at, side="right") / len(factors))
            for view, factors in judged
        ],
        plain(at),
        x_log=True,
        y_max=100.0,
        limits=[Limit("x", 1.0, "as written")],
    )
