"""Charts with one point per request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.over_time import time_unit
from cluster_sim.figures.ttft_over_time import thinned
from cluster_sim.figures.ttft_tpot_scatter import rank_correlation
from cluster_sim.report.charts.chart import Chart, plain
from cluster_sim.report.charts.view import View, limits

_MOST_POINTS = 6000
"""Maximum number of points of a chart, of all runs together."""


def request_charts(shown: Sequence[View]) -> list[Chart]:
    """Return the charts of TTFT over arrival and of TTFT over TPOT.

    There are no charts if no request finished.
    """
    answered = [view for view in shown if len(view.done.arrival_s)]
    if not answered:
        return []
    most = max(_MOST_POINTS // len(answered), 100)
    return [_late(shown, answered, most), *_pairs(shown, answered, most)]


def _late(shown: Sequence[View], answered: Sequence[View], most: int) -> Chart:
    """Return the chart of TTFT over the time of arrival."""
    second, unit = time_unit([view.line for view in shown])
    scale, of = style.latency_unit(*(view.done.ttft_s for view in answered))
    series, texts = [], []
    for view in answered:
        done = view.done
        kept = thinned(done.ttft_s, most)
        kept = kept[np.argsort(done.arrival_s[kept], kind="stable")]
        x = plain(done.arrival_s[kept] / second)
        series.append(view.series(scale * done.ttft_s[kept], "points", x=x))
        texts.append(f"{view.label} {style.duration(float(np.max(done.ttft_s)))}")
    return Chart(
        f"Longest wait for a first token: {', '.join(texts)}",
        f"arrival, simulated time [{unit}]",
        f"TTFT [{of}]",
        series,
        y_log=True,
        limits=list(limits(shown, "ttft", "y", scale)),
    )


def _pairs(shown: Sequence[View], answered: Sequence[View], most: int) -> Iterator[Chart]:
    """Yield the chart of TTFT over TPOT if some requests have both."""
    series, texts = [], []
    for view in answered:
        done = view.done
        several = np.flatnonzero((done.output_tokens > 1) & (done.tpot_s > 0.0))
        if len(several) > 2:
            chosen = several[thinned(done.ttft_s[several], most)]
            chosen = chosen[np.argsort(done.tpot_s[chosen], kind="stable")]
            x = plain(1e3 * done.tpot_s[chosen])
            series.append(view.series(1e3 * done.ttft_s[chosen], "points", x=x))
            correlation = rank_correlation(done.tpot_s[several], done.ttft_s[several])
            texts.append(f"{view.label} {correlation:.2f}")
    if series:
        yield Chart(
            f"Rank correlation of TTFT and TPOT: {', '.join(texts)}",
            "TPOT [ms]",
            "TTFT [ms]",
            series,
            x_log=True,
            y_log=True,
            limits=[*limits(shown, "tpot", "x", 1e3), *limits(shown, "ttft", "y", 1e3)],
        )
