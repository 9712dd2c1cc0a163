"""TTFT over TPOT of every request, with the limits of the SLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.figures.ttft_over_time import thinned
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_COLUMNS = 2


class _Points(NamedTuple):
    """TPOT and TTFT of requests [s]."""

    tpot_s: Array
    ttft_s: Array


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run, two side by side, with common scales."""
    columns = min(len(results), _COLUMNS)
    figure, axes = style.blank(
        [3.6] * -(-len(results) // columns), columns=columns, share_x=True, share_y=True
    )
    for panel in axes[len(results) :]:
        panel.remove()
    return figure, axes[: len(results)]


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw TTFT over TPOT of each finished request, both on log scales.

    Each run has one axes. Requests with one output token are omitted.
    """
    shown = style.variants(results)
    points = [_points(variant.results) for variant in shown]
    for panel, variant, values in zip(axes, shown, points, strict=True):
        style.title(panel, _title(variant, values), width=50 if len(shown) > 1 else 120)
        style.label(panel, x="TPOT [ms]", y="TTFT [ms]")
        if not len(values.ttft_s):
            style.nothing(panel, "no request finished")
            continue
        _draw_points(panel, variant, values)
        _draw_objectives(panel, variant)
    every = _Points(*(np.concatenate(columns) for columns in zip(*points, strict=True)))
    for panel, values in zip(axes, points, strict=True):
        if len(values.ttft_s):
            panel.set_xlim(*_around(every.tpot_s, results, "tpot_s"))
            panel.set_ylim(*_around(every.ttft_s, results, "ttft_s"))
            style.logarithmic(panel, "x")
            style.logarithmic(panel, "y")
    style.headline(axes[0], _finding(shown, points))


def _draw_points(panel: Axes, variant: Variant, points: _Points) -> None:
    kept = thinned(points.ttft_s)
    panel.scatter(
        1e3 * points.tpot_s[kept],
        1e3 * points.ttft_s[kept],
        s=5.0,
        color=variant.colour,
        alpha=0.4 if len(kept) < 3000 else 0.15,
        linewidths=0.0,
        rasterized=True,
    )


def _draw_objectives(panel: Axes, variant: Variant) -> None:
    slo = variant.results.scenario.slo
    for limit_s, line, name in (
        (slo.tpot_s, panel.axvline, "TPOT"),
        (slo.ttft_s, panel.axhline, "TTFT"),
    ):
        if limit_s is not None:
            label = f"SLO {name} {style.duration(limit_s)}"
            line(1e3 * limit_s, color=style.LIMIT, linewidth=1.2, label=label)
    if slo.tpot_s or slo.ttft_s:
        panel.legend(loc="upper left", fontsize=8, framealpha=0.8)


def _points(results: Results) -> _Points:
    """Return the points of a run that a log scale can show.

    A request whose tokens arrive together has a TPOT of 0 and is omitted.
    """
    done = finished(results)
    several = (done.output_tokens > 1) & (done.tpot_s > 0.0) & (done.ttft_s > 0.0)
    return _Points(done.tpot_s[several], done.ttft_s[several])


def _around(values_s: Array, results: Sequence[Results], limit: str) -> tuple[float, float]:
    """Return the ends of an axis [ms] around all values and limits."""
    limits_s = [
        limit_s for run in results if (limit_s := getattr(run.scenario.slo, limit)) is not None
    ]
    every_s = np.append(values_s, limits_s)
    return 1e3 * float(np.min(every_s)) / 1.4, 1e3 * float(np.max(every_s)) * 1.4


def _title(variant: Variant, points: _Points) -> str:
    slo = variant.results.scenario.slo
    if not len(points.ttft_s):
        return f"{variant.label}: no request finished"
    if slo.ttft_s is None or slo.tpot_s is None:
        ttft, tpot = (
            style.duration(float(np.median(values_s)))
            for values_s in (points.ttft_s, points.tpot_s)
        )
        return f"{variant.label}: p50 TTFT {ttft}, TPOT {tpot}"
    late, slow = points.ttft_s > slo.ttft_s, points.tpot_s > slo.tpot_s
    parts = (
        ("both met", ~late & ~slow),
        ("TTFT missed", late & ~slow),
        ("TPOT missed", ~late & slow),
        ("both missed", late & slow),
    )
    return f"{variant.label}: " + ", ".join(
        f"{name} {style.percent(float(np.mean(chosen)))}" for name, chosen in parts
    )


def _finding(shown: Sequence[Variant], points: Sequence[_Points]) -> str:
    """Return the rank correlation of TTFT and TPOT of each run, as text."""
    texts = [
        f"{variant.label} {rank_correlation(values.tpot_s, values.ttft_s):.2f}"
        for variant, values in zip(shown, points, strict=True)
        if len(values.ttft_s) > 2 and np.ptp(values.tpot_s) > 0 and np.ptp(values.ttft_s) > 0
    ]
    return "Rank correlation of TTFT and TPOT: " + (
        "; ".join(texts) or "unknown: no request finished"
    )


def rank_correlation(first: Array, second: Array) -> float:
    """Return Spearman's rank correlation; equal values rank in the order of the array.

    >>> rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([10.0, 20.0, 21.0]))
    1.0
    """
    ranks = np.argsort(np.argsort([first, second], axis=1, kind="stable"), axis=1, kind="stable")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])
