"""What of the traffic is served as it should be: arrivals and good requests over time, and how
strict the objectives may be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import time_unit
from cluster_sim.results import metrics
from cluster_sim.results.results import Results

_BINS = 60
_STRICTEST, _LOOSEST = 0.1, 10.0


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Two panels, one above the other."""
    return style.blank([2.3, 2.5])


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Requests [1/s] by the time of their arrival, all in grey and those within their SLO in
    colour, and the share [%] within the SLO were all of its limits multiplied by a factor, on the
    two `axes`. Requests that were rejected or not finished are never good.
    """
    shown = style.variants(results)
    second, unit = time_unit([metrics.timeline(one, _BINS) for one in results])
    over_time, strict = axes
    style.label(over_time, x=f"arrival, simulated time [{unit}]", y="requests [1/s]")
    style.label(strict, x="factor on all limits of the SLO [-]", y="within it [%]")
    found = [(one, metrics.strictness(one.results)) for one in shown]
    judged = [(one, factors) for one, factors in found if factors is not None and len(factors)]
    arrivals_s = [
        one.results.requests["arrival_s"].to_numpy()[one.results.requests["counted"].to_numpy()]
        for one, _ in judged
    ]
    last_s = max((float(np.max(arrival_s)) for arrival_s in arrivals_s), default=0.0)
    style.title(
        over_time, f"Requests that arrive (grey) and those of them within the SLO, in {_BINS} bins"
    )
    style.title(
        strict, "Share within the SLO if all of its limits were stricter (left) or looser (right)"
    )
    if not judged:
        for panel in axes:
            style.nothing(
                panel,
                "no request counts"
                if any(factors is not None for _, factors in found)
                else "the scenario has no SLO",
            )
    edges_s = np.linspace(0.0, last_s * (1 + 1e-9) or 1.0, _BINS + 1)
    for place, ((one, factors), arrival_s) in enumerate(zip(judged, arrivals_s, strict=True)):
        every = np.histogram(arrival_s, edges_s)[0] / (edges_s[1] - edges_s[0])
        good = np.histogram(arrival_s[factors <= 1.0], edges_s)[0] / (edges_s[1] - edges_s[0])
        if place == 0:
            over_time.stairs(every, edges_s / second, fill=True, color="#cccccc")
        over_time.stairs(
            good, edges_s / second, color=one.colour, linestyle=one.dash, linewidth=1.5
        )
        at = np.geomspace(_STRICTEST, _LOOSEST, 300)
        share = np.searchsorted(np.sort(factors), at, side="right") / len(factors)
        strict.plot(
            at, 100.0 * share, color=one.colour, linestyle=one.dash, linewidth=1.8, label=one.label
        )
    over_time.set_ylim(bottom=0.0)
    over_time.set_xlim(0.0, edges_s[-1] / second)
    strict.set_ylim(0.0, 102.0)
    strict.set_xlim(_STRICTEST, _LOOSEST)
    strict.axvline(1.0, color="black", linewidth=1.0, linestyle=(0, (2.0, 2.0)))
    style.logarithmic(strict, "x")
    if judged:
        style.shared_legend(strict)
    if (figure := over_time.get_figure(root=True)) is not None:
        said = [f"{one.label} {_rate(one.results)}" for one, _ in judged]
        style.headline(
            figure,
            "Goodput, requests within the SLO: "
            + ("; ".join(said) or f"{shown[0].label} has none"),
        )


def _rate(results: Results) -> str:
    summary = results.summary()
    return f"{summary['request_goodput']:.3g}/s of {summary['request_throughput']:.3g}/s answered"
