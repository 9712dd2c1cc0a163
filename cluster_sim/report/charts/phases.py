"""Charts of the phases of requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.phase_breakdown import grouped
from cluster_sim.report.charts.chart import Chart, Series, plain
from cluster_sim.report.charts.view import View
from cluster_sim.results import metrics

_GROUPS = 50


def phase_charts(shown: Sequence[View]) -> list[Chart]:
    """Return a chart for each run with finished requests."""
    charts = (_chart(view) for view in shown)
    return [chart for chart in charts if chart is not None]


def _chart(view: View) -> Chart | None:
    """Return the chart of the mean time per phase of a run; None if no request finished."""
    phases = metrics.phases(view.results)
    if not len(phases["queue"]):
        return None
    at, stack = grouped(phases, _GROUPS)
    whole = sum(float(np.sum(length_s)) for length_s in phases.values()) or 1.0
    present = {name: mean_s for name, mean_s in stack.items() if np.any(mean_s > 0.0)}
    shares = ", ".join(
        f"{name} {style.percent(float(np.sum(phases[name])) / whole)}" for name in present
    )
    return Chart(
        f"{view.label}: {shares}",
        "requests in the order of E2E latency, slowest right [%]",
        "time [s]",
        [
            Series(name, view.number, style.PHASES[name], plain(mean_s), "area")
            for name, mean_s in present.items()
        ],
        plain(at),
        run=view.number,
    )
