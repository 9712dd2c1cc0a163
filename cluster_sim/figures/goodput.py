"""Requests within the SLO over time, and their share if the SLO were stricter or looser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import TimeUnit, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_BINS = 60
_STRICTEST, _LOOSEST = 0.1, 10.0


class _Judged(NamedTuple):
    """Requests of a run that has an SLO, which judges them."""

    variant: Variant
    factors: Array
    """Smallest factor on all limits of the SLO with which each request would meet them."""
    arrival_s: Array


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and two panels, one above the other."""
    return style.blank([2.3, 2.5])


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw requests [1/s] by their arrival, and the share within the SLO for scaled limits.

    On the first axes all requests are grey and requests within the SLO are coloured. The second axes
    show the share [%] within the SLO if all limits were multiplied by a factor. Requests that were
    rejected or did not finish are never within the SLO.
    """
    shown = style.variants(results)
    unit = time_unit([metrics.timeline(run, _BINS) for run in results])
    over_time, strict = axes
    style.label(over_time, x=f"arrival, simulated time [{unit.name}]", y="requests [1/s]")
    style.label(strict, x="factor on all limits of the SLO [-]", y="within the SLO [%]")
    style.title(
        over_time,
        f"All requests (grey) and requests within the SLO (lines) by arrival, in {_BINS} bins",
    )
    style.title(strict, "Share within the SLO if all limits were stricter (left) or looser (right)")
    factors = [metrics.strictness(run) for run in results]
    judged = [
        _Judged(variant, values, _arrivals_s(variant.results))
        for variant, values in zip(shown, factors, strict=True)
        if values is not None and len(values)
    ]
    if not judged:
        has_slo = any(values is not None for values in factors)
        for panel in axes:
            style.nothing(panel, "no counted request" if has_slo else "the scenario has no SLO")
    _draw_over_time(over_time, judged, unit)
    _draw_strictness(strict, judged)
    if judged:
        style.shared_legend(strict)
    texts = "; ".join(f"{run.variant.label} {_rate(run.variant.results)}" for run in judged)
    style.headline(
        over_time,
        f"Goodput, requests within the SLO: {texts or f'{shown[0].label} has none'}",
    )


def _arrivals_s(results: Results) -> Array:
    """Return the arrival times of the requests that the SLO judges [s]."""
    arrivals_s: Array = results.requests["arrival_s"].to_numpy()[metrics.is_judged(results)]
    return arrivals_s


def _draw_over_time(panel: Axes, judged: Sequence[_Judged], unit: TimeUnit) -> None:
    last_s = max((float(np.max(run.arrival_s)) for run in judged), default=0.0)
    edges_s = np.linspace(0.0, last_s * (1 + 1e-9) or 1.0, _BINS + 1)
    width_s = edges_s[1] - edges_s[0]
    for place, run in enumerate(judged):
        if place == 0:
            every = np.histogram(run.arrival_s, edges_s)[0] / width_s
            panel.stairs(every, edges_s / unit.second, fill=True, color="#cccccc")
        panel.stairs(
            np.histogram(run.arrival_s[run.factors <= 1.0], edges_s)[0] / width_s,
            edges_s / unit.second,
            color=run.variant.colour,
            linestyle=run.variant.dash,
            linewidth=1.5,
        )
    panel.set_ylim(bottom=0.0)
    panel.set_xlim(0.0, edges_s[-1] / unit.second)


def _draw_strictness(panel: Axes, judged: Sequence[_Judged]) -> None:
    at = np.geomspace(_STRICTEST, _LOOSEST, 300)
    for run in judged:
        share = np.searchsorted(np.sort(run.factors), at, side="right") / len(run.factors)
        run.variant.line(panel, at, 100.0 * share, linewidth=1.8, label=run.variant.label)
    panel.set_ylim(0.0, 102.0)
    panel.set_xlim(_STRICTEST, _LOOSEST)
    panel.axvline(1.0, color="black", linewidth=1.0, linestyle=style.DOTTED)
    style.logarithmic(panel, "x")


def _rate(results: Results) -> str:
    summary = results.summary()
    return f"{summary['request_goodput']:.3g}/s of {summary['request_throughput']:.3g}/s answered"
