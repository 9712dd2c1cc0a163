"""How slow the slowest are: the share of requests that take longer than a time, down to one in ten
thousand, variants overlaid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.latency_cdf import latencies
from cluster_sim.figures.style import Variant
from cluster_sim.results.results import Results

_LEAST = 1e-4
"""p99.99."""
_STEPS = 600
_TICKS = {1.0: "all", 0.5: "p50", 0.1: "p90", 0.01: "p99", 0.001: "p99.9", 0.0001: "p99.99"}


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Three panels side by side."""
    return style.blank([3.4 + 0.17 * len(results)], columns=3, share_y=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Share of requests that take longer, log scale, against TTFT, TPOT and end-to-end latency, log
    scale, on the three `axes`.

    Shares are of all requests that count: those that were rejected or had not finished take longer
    than anything, so that a curve ends at their share. TPOT leaves requests of one token out.
    """
    shown = style.variants(results)
    panels = (
        ("ttft", "Time to first token", "TTFT"),
        ("tpot", "Time per output token", "TPOT"),
        ("e2el", "End-to-end latency", "E2E latency"),
    )
    least = max(_LEAST, 0.5 / max(1, *(len(one.requests) for one in results)))
    tails = [
        _panel(panel, shown, which, name, short, least)
        for panel, (which, name, short) in zip(axes, panels, strict=True)
    ]
    style.label(axes[0], y="requests that take longer [share, percentile]")
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(
            figure, "How slow the slowest are: " + ("; ".join(tails[0]) or "no request finished")
        )


def tail(values_s: np.ndarray, everyone: int, least: float) -> tuple[np.ndarray, np.ndarray]:
    """(times [s], share of `everyone` that takes longer than each) of ascending `values_s`, the
    tail in full and the rest in steps.
    """
    count = len(values_s)
    if not count:
        return np.zeros(0), np.zeros(0)
    behind = np.unique(
        np.geomspace(max(everyone * least, 1.0), count, min(count, _STEPS)).astype(np.int64)
    )[::-1]
    rank = np.unique(np.append(count - behind, count - 1))
    return values_s[rank], (everyone - rank - 1) / everyone


def _panel(
    panel: Axes, shown: Sequence[Variant], which: str, name: str, short: str, least: float
) -> list[str]:
    """Draws; returns what the tail of each variant is, said."""
    columns = [latencies(one.results, which) for one in shown]
    scale, unit = style.latency_unit(*(values_s for values_s, _ in columns))
    style.title(panel, name)
    style.label(panel, x=f"{short} [{unit}]")
    said = []
    for one, (values_s, everyone) in zip(shown, columns, strict=True):
        if not len(values_s):
            continue
        times_s, share = tail(values_s, everyone, least)
        x, y = scale * np.append(times_s[:1], times_s), np.append(1.0, np.maximum(share, least / 2))
        which_tail, quantile = ("p99.9", 99.9) if everyone >= 1000 else ("p99", 99.0)
        text = (
            f"{one.label} {which_tail} {style.duration(float(np.percentile(values_s, quantile)))}"
        )
        said.append(text)
        panel.plot(
            x,
            y,
            color=one.colour,
            linestyle=one.dash,
            linewidth=1.8,
            drawstyle="steps-post",
            label=text,
        )
    if not said:
        style.nothing(panel, "no request finished")
        return []
    for limit_s in style.slo_limits([one.results for one in shown], which):
        panel.axvline(scale * limit_s, color="black", linewidth=1.0, linestyle=(0, (2.0, 2.0)))
        panel.annotate(
            f"SLO {style.duration(limit_s)}", (scale * limit_s, 0.02), xycoords=("data", "axes fraction"), xytext=(-3.0, 0.0), textcoords="offset points",
            rotation=90, ha="right", va="bottom", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=1,
        )  # fmt: skip
    style.logarithmic(panel, "x")
    panel.set_yscale("log")
    panel.set_ylim(least, 1.15)
    panel.set_yticks(
        [at for at in _TICKS if at >= least],
        [
            f"{at:g} ({name})" if name != "all" else "1"
            for at, name in _TICKS.items()
            if at >= least
        ],
    )
    panel.minorticks_off()
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.19), fontsize=8, frameon=False, handlelength=2.6
    )
    return said
