"""Parts of the figures of latency distributions: three kinds of latency, and lines of the SLO."""

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
    """Kind of latency of requests."""

    key: str
    """Name of the latency in an SLO: ttft, tpot or e2el."""
    name: str
    short: str


KINDS = (
    LatencyKind("ttft", "Time to first token", "TTFT"),
    LatencyKind("tpot", "Time per output token", "TPOT"),
    LatencyKind("e2el", "End-to-end latency", "E2E latency"),
)


def latencies(results: Results, key: str) -> tuple[Array, int]:
    """Return the latencies of finished requests, and the number of all counted requests.

    Parameters
    ----------
    results
        Results of a run.
    key
        Kind of latency: ttft, tpot or e2el. TPOT omits requests with one output token.

    Returns
    -------
    latencies_s : Array
        Ascending latencies of finished requests [s].
    everyone : int
        Number of counted requests, including requests that did not finish.
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
    """Draw the limits of the SLO for one kind of latency as vertical lines.

    Parameters
    ----------
    panel
        Axes to draw on.
    shown
        Runs that are drawn.
    key
        Kind of latency: ttft, tpot or e2el.
    scale
        Units of the x axis per second.
    at_data
        Whether the text stands at y = 2; otherwise it stands at the bottom of the panel.
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
    """Draw the legend of a panel below the panel."""
    panel.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.19), fontsize=8, frameon=False, handlelength=2.6
    )
