"""How many requests are answered within which time: TTFT, TPOT and end-to-end latency, variants
overlaid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.results import Results

_MOST_STEPS = 2000
"""Steps of a curve beyond which more could not be seen."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Three panels side by side."""
    return style.blank([3.4 + 0.17 * len(results)], columns=3, share_y=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Cumulative share of requests [%] against TTFT, TPOT and end-to-end latency on the three
    `axes`.

    Shares are of all requests that count: those that were rejected or had not finished when the run
    ended never meet an objective, so their curve stays below 100 %. TPOT leaves requests of one
    token out.
    """
    shown = style.variants(results)
    panels = (
        ("ttft", "Time to first token", "TTFT"),
        ("tpot", "Time per output token", "TPOT"),
        ("e2el", "End-to-end latency", "E2E latency"),
    )
    for panel, (which, name, short) in zip(axes, panels, strict=True):
        _panel(panel, shown, which, name, short)
    style.label(axes[0], y="requests answered within [%]")
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(figure, _finding(shown))


def _panel(panel: Axes, shown: Sequence[Variant], which: str, name: str, short: str) -> None:
    columns = [latencies(one.results, which) for one in shown]
    scale, unit = style.latency_unit(*(values_s for values_s, _ in columns))
    style.title(panel, name)
    style.label(panel, x=f"{short} [{unit}]")
    panel.set_ylim(0.0, 102.0)
    if not any(len(values_s) for values_s, _ in columns):
        nobody = not any(everyone for _, everyone in columns)
        style.nothing(
            panel,
            "no answer of more than one token"
            if which == "tpot" and nobody
            else "no request counts"
            if nobody
            else "no request finished",
        )
        return
    for one, (values_s, everyone) in zip(shown, columns, strict=True):
        rank = (
            np.unique(
                np.linspace(0, len(values_s) - 1, min(len(values_s), _MOST_STEPS)).astype(np.int64)
            )
            if len(values_s)
            else np.zeros(0, dtype=np.int64)
        )
        x, y = scale * values_s[rank], 100.0 * (rank + 1) / max(everyone, 1)
        x, y = (
            np.append(x[:1], x),
            np.append(np.zeros(len(x[:1])), y),
        )  # each curve starts on the axis
        panel.plot(
            x,
            y,
            color=one.colour,
            linestyle=one.dash,
            linewidth=1.8,
            drawstyle="steps-post",
            label=_said(one, which, values_s, everyone),
        )
    for limit_s in style.slo_limits([one.results for one in shown], which):
        panel.axvline(scale * limit_s, color="black", linewidth=1.0, linestyle=(0, (2.0, 2.0)))
        panel.annotate(
            f"SLO {style.duration(limit_s)}", (scale * limit_s, 2.0), xytext=(-3.0, 0.0), textcoords="offset points",
            rotation=90, ha="right", va="bottom", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=1,
        )  # fmt: skip
    style.logarithmic(panel, "x")
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.19), fontsize=8, frameon=False, handlelength=2.6
    )


def latencies(results: Results, which: str) -> tuple[np.ndarray, int]:
    """Latencies [s] of finished requests, ascending, and how many requests there are of the kind,
    finished or not.
    """
    done, table = finished(results), results.requests
    counted = table["counted"].to_numpy()
    if which == "tpot":
        return np.sort(done.tpot_s[done.output_tokens > 1]), int(
            np.sum(counted & (table["output_tokens"].to_numpy() > 1))
        )
    return np.sort(done.ttft_s if which == "ttft" else done.e2el_s), int(np.sum(counted))


def _said(one: Variant, which: str, values_s: np.ndarray, everyone: int) -> str:
    """The variant, and at a glance how it does: the share within its objective, or percentiles
    where it has none.
    """
    limit_s = getattr(one.results.scenario.slo, f"{which}_s")
    if not everyone or not len(values_s):
        return f"{one.label}: none finished"
    p50_s, p99_s = np.percentile(values_s, [50, 99])
    if limit_s is not None:
        return f"{one.label}: {style.percent(int(np.searchsorted(values_s, limit_s, side='right')) / everyone)} within, p99 {style.duration(p99_s)}"
    return f"{one.label}: p50 {style.duration(p50_s)}, p99 {style.duration(p99_s)}"


def _finding(shown: Sequence[Variant]) -> str:
    summaries = [one.results.summary() for one in shown]
    if any("slo_attainment" in summary for summary in summaries):
        lead = "Share of requests that meet every objective: "
        said = [
            style.percent(summary["slo_attainment"])
            if "slo_attainment" in summary
            else "no objective"
            for summary in summaries
        ]
    else:
        lead = "99 % of finished requests have their first token within: "
        said = [
            style.duration(summary["p99_ttft_ms"] / 1e3)
            if "p99_ttft_ms" in summary
            else "none finished"
            for summary in summaries
        ]
    unfinished = [summary["failed"] + summary["rejected"] for summary in summaries]
    left = [f" ({count} not answered)" if count else "" for count in unfinished]
    return lead + "; ".join(
        f"{one.label} {text}{rest}" for one, text, rest in zip(shown, said, left, strict=True)
    )
