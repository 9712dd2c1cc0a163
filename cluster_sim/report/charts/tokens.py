"""Charts of inter-token latency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.itl_histogram import bins
from cluster_sim.report.charts.chart import Chart, plain
from cluster_sim.report.charts.view import View

_X = "inter-token latency [ms]"


def token_charts(shown: Sequence[View]) -> list[Chart]:
    """Return the charts of the distribution of gaps and of its tail; no charts without gaps."""
    known = [view for view in shown if view.gaps.count]
    edges_s = bins([view.gaps for view in known])
    if edges_s is None:
        return []
    so_far = [(view, view.gaps.up_to(edges_s) / view.gaps.count) for view in known]
    slowest = ", ".join(
        f"{view.label} {style.duration(view.summary['p99_itl_ms'] / 1e3)}"
        for view in known
        if "p99_itl_ms" in view.summary
    )
    return [
        Chart(
            f"Inter-token latency, p99: {slowest}",
            _X,
            "share of gaps [%]",
            [view.series(100.0 * np.diff(share), "steps") for view, share in so_far],
            plain(1e3 * edges_s[:-1]),
            x_log=True,
        ),
        Chart(
            "Share of gaps that are longer",
            _X,
            "longer gaps [share]",
            [
                view.series(np.where(share < 1.0, 1.0 - share, np.nan), "steps")
                for view, share in so_far
            ],
            plain(1e3 * edges_s),
            x_log=True,
            y_log=True,
        ),
    ]
