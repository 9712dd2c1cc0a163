"""Who is slow at what: TTFT against TPOT of every request, a panel for each variant, with the
corner within the objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.figures.ttft_over_time import thinned
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.results import Results

_COLUMNS = 2
_LIMIT = "#B00020"


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, two side by side; they share their scales."""
    columns = min(len(results), _COLUMNS)
    figure, axes = style.blank(
        [3.6] * -(-len(results) // columns), columns=columns, share_x=True, share_y=True
    )
    for panel in axes[len(results) :]:
        panel.remove()
    return figure, axes[: len(results)]


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """TTFT against TPOT, both in log scale, of each finished request of more than one token, one of
    `axes` for each run.
    """
    shown = style.variants(results)
    points = [_points(one.results) for one in shown]
    for panel, one, (tpot_s, ttft_s) in zip(axes, shown, points, strict=True):
        style.title(panel, _said(one, tpot_s, ttft_s), width=50 if len(shown) > 1 else 120)
        style.label(panel, x="TPOT [ms]", y="TTFT [ms]")
        if not len(ttft_s):
            style.nothing(panel, "no request finished")
            continue
        kept = thinned(ttft_s)
        alpha = 0.4 if len(kept) < 3000 else 0.15
        panel.scatter(
            1e3 * tpot_s[kept],
            1e3 * ttft_s[kept],
            s=5.0,
            color=one.colour,
            alpha=alpha,
            linewidths=0.0,
            rasterized=True,
        )
        slo = one.results.scenario.slo
        for limit_s, line, letters in (
            (slo.tpot_s, panel.axvline, "TPOT"),
            (slo.ttft_s, panel.axhline, "TTFT"),
        ):
            if limit_s is not None:
                line(
                    1e3 * limit_s,
                    color=_LIMIT,
                    linewidth=1.2,
                    label=f"SLO {letters} {style.duration(limit_s)}",
                )
        if slo.tpot_s or slo.ttft_s:
            panel.legend(loc="upper left", fontsize=8, framealpha=0.8)
    drawn = [(tpot_s, ttft_s) for tpot_s, ttft_s in points if len(ttft_s)]
    if drawn:
        for panel, (_, ttft_s) in zip(axes, points, strict=True):
            if len(ttft_s):
                panel.set_xlim(
                    *_around(np.concatenate([tpot_s for tpot_s, _ in drawn]), results, "tpot_s")
                )
                panel.set_ylim(
                    *_around(np.concatenate([ttft_s for _, ttft_s in drawn]), results, "ttft_s")
                )
                style.logarithmic(panel, "x")
                style.logarithmic(panel, "y")
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(figure, _finding(shown, points))


def _points(results: Results) -> tuple[np.ndarray, np.ndarray]:
    """(TPOT, TTFT) [s] of each; a TPOT of zero, of answers that came at once, has no place on a log
    scale.
    """
    done = finished(results)
    several = (done.output_tokens > 1) & (done.tpot_s > 0.0) & (done.ttft_s > 0.0)
    return done.tpot_s[several], done.ttft_s[several]


def _around(values_s: np.ndarray, results: Sequence[Results], limit: str) -> tuple[float, float]:
    limits_s = [
        limit_s for one in results if (limit_s := getattr(one.scenario.slo, limit)) is not None
    ]
    every_s = np.append(values_s, limits_s)
    return 1e3 * float(np.min(every_s)) / 1.4, 1e3 * float(np.max(every_s)) * 1.4


def _said(one: Variant, tpot_s: np.ndarray, ttft_s: np.ndarray) -> str:
    slo = one.results.scenario.slo
    if not len(ttft_s):
        return f"{one.label}: no request finished"
    if slo.ttft_s is None or slo.tpot_s is None:
        return f"{one.label}: p50 TTFT {style.duration(float(np.median(ttft_s)))}, TPOT {style.duration(float(np.median(tpot_s)))}"
    late, slow = ttft_s > slo.ttft_s, tpot_s > slo.tpot_s
    parts = (
        ("both met", ~late & ~slow),
        ("TTFT missed", late & ~slow),
        ("TPOT missed", ~late & slow),
        ("both missed", late & slow),
    )
    return f"{one.label}: " + ", ".join(
        f"{name} {style.percent(float(np.mean(which)))}" for name, which in parts
    )


def _finding(shown: Sequence[Variant], points: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Whether the same requests are slow in both."""
    said = [
        f"{one.label} {rank_correlation(tpot_s, ttft_s):.2f}"
        for one, (tpot_s, ttft_s) in zip(shown, points, strict=True)
        if len(ttft_s) > 2 and np.ptp(tpot_s) > 0 and np.ptp(ttft_s) > 0
    ]
    return "Are requests with a late first token slow afterwards too? Rank correlation " + (
        "; ".join(said) or "unknown: no request finished"
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, equal values ranked in the order in which they come.

    >>> rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([10.0, 20.0, 21.0]))
    1.0
    """
    ranks = np.argsort(np.argsort([first, second], axis=1, kind="stable"), axis=1, kind="stable")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])
