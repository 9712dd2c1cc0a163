"""What the figures over simulated time share: the unit of the time axis, the warm-up, arrivals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.metrics.timeline import Timeline


def time_unit(lines: Sequence[Timeline]) -> tuple[float, str]:
    """Seconds in the unit of the time axis, and the unit: s up to 10 min, min up to 10 h, then h."""
    last_s = max(line.bin_s * len(line.time_s) for line in lines)
    return (1.0, "s") if last_s <= 600.0 else (60.0, "min") if last_s <= 36_000.0 else (3600.0, "h")


def lay_time_axis(axes: Sequence[Axes], last_s: float, second: float) -> None:
    """From 0 to `last_s`, with round numbers; the `axes` share it."""
    axes[-1].set_xlim(0.0, last_s / second)
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))


def mark_warmup(axes: Sequence[Axes], shown: Sequence[Variant], second: float) -> None:
    """Shade the time of which requests are not counted, on every panel; its name is on the first."""
    until_s = {one.results.scenario.warmup_s for one in shown}
    if len(until_s) == 1 and (warmup_s := until_s.pop()) > 0.0:
        for panel in axes:
            panel.axvspan(0.0, warmup_s / second, color="#eeeeee", zorder=0, linewidth=0.0)
        axes[0].text(
            0.0, 0.97, " warm-up", transform=axes[0].get_xaxis_transform(), fontsize=8, color="#333333", va="top",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )  # fmt: skip


def draw_arrivals(
    panel: Axes, shown: Sequence[Variant], lines: Sequence[Timeline], second: float
) -> None:
    """Arrivals [1/s]: once, in grey, where all runs had the same; else a line for each."""
    first = shown[0].results.requests["arrival_s"]
    if all(one.results.requests["arrival_s"].equals(first) for one in shown[1:]):
        # of bins that differ where runs end at different times, the longest run's hold all arrivals
        line = max(lines, key=lambda line: line.bin_s)
        edges = np.append(line.time_s - line.bin_s / 2, line.time_s[-1] + line.bin_s / 2) / second
        panel.stairs(
            line.arrival_per_s, edges, fill=True, color="#aaaaaa", linewidth=0.8
        )  # an outline, so that a lone bin is seen
        came = f"{len(first)} requests"
        came += (
            f", {_rate(len(first) / last_s)} on average"
            if (last_s := float(np.max(first.to_numpy(), initial=0.0)))
            else ""
        )
        style.title(
            panel, f"Arrivals: {came}, most in a bin {_rate(float(np.max(line.arrival_per_s)))}"
        )
    else:
        for one, line in zip(shown, lines, strict=True):
            panel.plot(
                line.time_s / second,
                line.arrival_per_s,
                color=one.colour,
                linestyle=one.dash,
                linewidth=1.2,
                drawstyle="steps-mid",
                label=one.label,
            )
        style.title(
            panel,
            "Arrivals: "
            + ", ".join(f"{one.label} {len(one.results.requests)} requests" for one in shown),
        )
    panel.set_ylim(bottom=0.0)
    style.label(panel, y="arrivals [1/s]")


def _rate(per_s: float) -> str:
    return f"{per_s:.3g}/s" if per_s < 999.5 else f"{per_s:.0f}/s"
