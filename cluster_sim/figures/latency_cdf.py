"""Share of requests within a time: cumulative distributions of TTFT, TPOT and E2E latency."""

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

_MOST_STEPS = 2000
"""Maximum number of steps of a curve; more could not be seen."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and three panels side by side."""
    return style.blank([3.4 + 0.17 * len(results)], columns=3, share_y=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the share of requests [%] within TTFT, TPOT and end-to-end latency on three axes.

    Shares refer to all counted requests. A request that was rejected or did not finish never meets
    a limit, so the curve stays below 100 %. TPOT omits requests with one output token.
    """
    shown = style.variants(results)
    for panel, kind in zip(axes, KINDS, strict=True):
        _draw_kind(panel, shown, kind)
    style.label(axes[0], y="requests within this latency [%]")
    style.headline(axes[0], _finding(shown))


def _draw_kind(panel: Axes, shown: Sequence[Variant], kind: LatencyKind) -> None:
    columns = [latencies(variant.results, kind.key) for variant in shown]
    scale, unit = style.latency_unit(*(values_s for values_s, _ in columns))
    style.title(panel, kind.name)
    style.label(panel, x=f"{kind.short} [{unit}]")
    panel.set_ylim(0.0, 102.0)
    if not any(len(values_s) for values_s, _ in columns):
        style.nothing(panel, _why_nothing(kind, counts=any(everyone for _, everyone in columns)))
        return
    for variant, (values_s, everyone) in zip(shown, columns, strict=True):
        x, y = _curve(values_s, everyone)
        variant.line(
            panel,
            scale * x,
            y,
            linewidth=1.8,
            drawstyle="steps-post",
            label=_text(variant, kind.key, values_s, everyone),
        )
    draw_objectives(panel, shown, kind.key, scale, at_data=True)
    style.logarithmic(panel, "x")
    legend_below(panel)


def _curve(values_s: Array, everyone: int) -> tuple[Array, Array]:
    """Return times [s] and the share of requests within each time [%], starting at 0 %."""
    count = len(values_s)
    rank = np.zeros(0, dtype=np.int64)
    if count:
        steps = np.linspace(0, count - 1, min(count, _MOST_STEPS))
        rank = np.unique(steps.astype(np.int64))
    x, y = values_s[rank], 100.0 * (rank + 1) / max(everyone, 1)
    return np.append(x[:1], x), np.append(np.zeros(len(x[:1])), y)


def _why_nothing(kind: LatencyKind, *, counts: bool) -> str:
    """Return why there is no curve; counts: whether there are counted requests."""
    if counts:
        return "no request finished"
    return "no answer of more than one token" if kind.key == "tpot" else "no counted request"


def _text(variant: Variant, key: str, values_s: Array, everyone: int) -> str:
    """Return the run's label with its share within the SLO, or with percentiles."""
    limit_s = getattr(variant.results.scenario.slo, f"{key}_s")
    if not everyone or not len(values_s):
        return f"{variant.label}: none finished"
    p50_s, p99_s = np.percentile(values_s, [50, 99])
    if limit_s is not None:
        within = int(np.searchsorted(values_s, limit_s, side="right")) / everyone
        return f"{variant.label}: {style.percent(within)} within, p99 {style.duration(p99_s)}"
    return f"{variant.label}: p50 {style.duration(p50_s)}, p99 {style.duration(p99_s)}"


def _finding(shown: Sequence[Variant]) -> str:
    summaries = [variant.results.summary() for variant in shown]
    if any("slo_attainment" in summary for summary in summaries):
        lead = "Share of requests within the SLO: "
        texts = [
            style.percent(summary["slo_attainment"]) if "slo_attainment" in summary else "no SLO"
            for summary in summaries
        ]
    else:
        lead = "p99 of TTFT of finished requests: "
        texts = [
            style.duration(summary["p99_ttft_ms"] / 1e3)
            if "p99_ttft_ms" in summary
            else "none finished"
            for summary in summaries
        ]
    unanswered = [summary["failed"] + summary["rejected"] for summary in summaries]
    rests = [f" ({count} not answered)" if count else "" for count in unanswered]
    return lead + "; ".join(
        f"{variant.label} {text}{rest}"
        for variant, text, rest in zip(shown, texts, rests, strict=True)
    )
