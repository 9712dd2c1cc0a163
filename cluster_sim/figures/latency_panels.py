"""What the figures of latency distributions share: their three panels, and objectives in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.results import Results
from cluster_sim.typing import Array


class LatencyKind(NamedTuple):
    """A latency of requests."""

    key: str
    """Name that objectives have for it: ttft, tpot or e2el."""
    name: str
    short: str


KINDS = (
    LatencyKind("ttft", "Time to first token", "TTFT"),
    LatencyKind("tpot", "Time per output token", "TPOT"),
    LatencyKind("e2el", "End-to-end latency", "E2E latency"),
)


def latencies(results: Results, key: str) -> tuple[Array, int]:
    """Return latencies [s] of finished requests, ascending, and the number of all such requests.

    Those that did not finish are counted too. TPOT leaves requests of one token out.
    """
    done, table = finished(results), results.requests
    counted = table["counted"].to_numpy()
    if key == "tpot":
        several = table["output_tokens"].to_numpy() > 1
        return np.sort(done.tpot_s[done.output_tokens > 1]), int(np.sum(counted & several))
    return np.sort(done.ttft_s if key == "ttft" else done.e2el_s), int(np.sum(counted))


def draw_objectives(
    panel: Axes, shown: Sequence[Variant], key: str, scale: float, *, at_data: bool
) -> None:
    """Draw the limits that objectives set for a latency.

    at_data: whether their texts stand at 2 of the axis upwards; else at the foot of the panel.
    """
    for limit_s in style.slo_limits([variant.results for variant in shown], key):
        panel.axvline(scale * limit_s, color="black", linewidth=1.0, linestyle=style.DOTTED)
        panel.annotate(
            f"SLO {style.duration(limit_s)}",
            (scale * limit_s, 2.0 if at_data else 0.02),
            xycoords="data" if at_data else ("data", "axes fraction"),
            xytext=(-3.0, 0.0),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="bottom",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            zorder=1,
        )


def legend_below(panel: Axes) -> None:
    """Draw the legend of one of three panels side by side, below it."""
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.19), fontsize=8, frameon=False, handlelength=2.6
    )
