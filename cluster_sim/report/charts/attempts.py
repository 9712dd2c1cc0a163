"""Charts of the attempts of clients over simulated time; they zoom with the other such charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.over_time import time_unit
from cluster_sim.report.charts.chart import TIME, Chart, plain
from cluster_sim.report.charts.view import View
from cluster_sim.results.metrics.load import Load, load
from cluster_sim.typing import Array

_BINS = 120


class _Rate(NamedTuple):
    """Rate over time, with the title of its chart and a total of each run."""

    name: str
    of: Callable[[Load], Array]
    text: Callable[[View], str]


_RATES = (
    _Rate(
        "Attempts sent, per request",
        lambda load: load.sent_per_s,
        lambda view: f"{view.summary.get('attempts_per_request', 1.0):.2f}",
    ),
    _Rate(
        "Attempts admitted to a batch",
        lambda load: load.admitted_per_s,
        lambda view: f"{np.sum(~np.isnan(view.results.served['admitted_s'].to_numpy())):,}",
    ),
    _Rate(
        "Whole answers within the SLO, if there is one",
        lambda load: load.good_per_s,
        lambda view: style.percent(view.summary.get("slo_attainment", _answered(view))),
    ),
)


def attempt_charts(shown: Sequence[View]) -> list[Chart]:
    """Return the charts of attempts; none if no client of any run makes several attempts."""
    if not any(view.results.attempts.num_rows for view in shown):
        return []
    second, unit = time_unit([view.line for view in shown])
    label = f"simulated time [{unit}]"
    bin_s = max(view.line.bin_s * len(view.line.time_s) for view in shown) / _BINS
    of_runs = [load(view.results, bin_s) for view in shown]
    starts = [plain(each.edges_s[:-1] / second) for each in of_runs]
    charts = []
    for rate in _RATES:
        drawn = [
            view.series(rate.of(each), "steps", x=x)
            for view, each, x in zip(shown, of_runs, starts, strict=True)
        ]
        texts = ", ".join(f"{view.label} {rate.text(view)}" for view in shown)
        charts.append(Chart(f"{rate.name}: {texts}", label, "rate [1/s]", drawn, sync=TIME))
    wasted = [
        view.series(100.0 * each.wasted_share, "steps", x=x)
        for view, each, x in zip(shown, of_runs, starts, strict=True)
    ]
    texts = ", ".join(
        f"{view.label} {style.percent(view.summary.get('wasted_share', 0.0))}" for view in shown
    )
    title = f"Output tokens generated in vain: {texts}"
    return [*charts, Chart(title, label, "wasted [%]", wasted, y_max=100.0, sync=TIME)]


def _answered(view: View) -> float:
    """Return the share of counted requests with a whole answer."""
    summary = view.summary
    everyone = summary["completed"] + summary["failed"] + summary["rejected"]
    return float(summary["completed"] / max(everyone, 1))
