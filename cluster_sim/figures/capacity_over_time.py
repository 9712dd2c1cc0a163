"""Capacity over time: replicas wanted, on and ready, faults, load, and requests within the SLO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.figures.over_time import (
    draw_arrivals,
    end_s,
    lay_time_axis,
    mark_warmup,
    time_unit,
)
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.faults import FaultRow, faults_of
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results
from cluster_sim.results.states import LOST, ON, READY, SHUT_DOWN, States, states_of
from cluster_sim.results.step_function import StepFunction
from cluster_sim.results.wanted import wanted_replicas
from cluster_sim.typing import Array

_BINS = 60
"""Number of bins of the share of requests within the SLO."""
_LOST, _LOADING, _READY = "#D55E00", "#E69F00", "#009E73"


@dataclass(frozen=True)
class _Capacity:
    """Replicas of one run over time."""

    variant: Variant
    states: States
    faults: list[FaultRow]
    end_s: float

    def count(self, states: Sequence[str]) -> StepFunction:
        """Return the number of replicas in some states."""
        numbers = range(len(self.variant.results.fleet.replicas))
        return self.states.count(numbers, states)


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure with a panel for the replicas of each run, and panels of load and SLO."""
    return style.blank([1.7] * len(results) + [1.3, 1.7], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the replicas that are wanted, on and ready over time, with the faults of nodes and links.

    Below them are the arrivals [1/s], and the share [%] of the requests that arrive in a bin and are
    answered within the SLO.
    """
    shown = style.variants(results)
    lines = metrics.timelines(results)
    unit, last_s = time_unit(lines), end_s(lines)
    *panels, arrivals, attained = axes
    mark_warmup(axes, shown, unit.second)
    tops = []
    for variant, panel in zip(shown, panels, strict=True):
        states, faults = states_of(variant.results), faults_of(variant.results)
        capacity = _Capacity(variant, states, faults, last_s)
        tops.append(_draw_capacity(panel, capacity, unit.second))
    for panel in panels:
        panel.set_ylim(0.0, 1.18 * max(*tops, 1.0))
    draw_arrivals(arrivals, shown, lines, unit.second)
    shares = list(_draw_attained(attained, shown, lines, unit.second))
    style.label(attained, x=f"simulated time [{unit.name}]", y="within\nthe SLO [%]")
    lay_time_axis(axes, last_s, unit.second)
    named = {
        name: handle
        for panel in panels
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    style.shared_legend(attained, named)
    style.headline(panels[0], _finding(shown, shares))


def _draw_capacity(panel: Axes, capacity: _Capacity, second: float) -> float:
    """Stack replicas that are ready, that drain, start or load, and that are lost.

    Return the largest number that is drawn.
    """
    top = 0.0
    below: Array | float = 0.0
    knots_s = np.unique(np.append(capacity.count(ON).from_s, capacity.count((READY,)).from_s))
    knots_s = np.unique(np.append(knots_s, capacity.count((LOST, SHUT_DOWN)).from_s))
    edges = np.append(knots_s, capacity.end_s) / second
    rest = tuple(state for state in ON if state not in (READY, LOST, SHUT_DOWN))
    for states, colour, name in (
        ((READY,), _READY, "ready"),
        (rest, _LOADING, "on, but not ready"),
        ((LOST, SHUT_DOWN), _LOST, "lost"),
    ):
        values = capacity.count(states).at(knots_s)
        if name != "ready" and not np.any(values):
            continue
        above = below + values
        panel.stairs(
            above, edges, baseline=below, fill=True, color=colour, alpha=0.75, label=name
        )  # fmt: skip
        below, top = above, max(top, float(np.max(above)))
    wanted = wanted_replicas(capacity.variant.results, capacity.states)
    if wanted is not None:
        edges = np.append(wanted.from_s, capacity.end_s) / second
        panel.stairs(
            wanted.values, edges, baseline=None, color="#000000", linewidth=1.3, label="wanted"
        )
        top = max(top, float(np.max(wanted.values)))
    _mark_faults(panel, capacity.faults, second)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    style.label(panel, y="replicas\n[number]")
    style.title(panel, f"Replicas of {capacity.variant.label}: {_about(capacity)}")
    return top


def _mark_faults(panel: Axes, faults: Sequence[FaultRow], second: float) -> None:
    """Mark the time of each fault at the top of a panel."""
    if faults:
        panel.plot(
            [fault.at_s / second for fault in faults],
            np.full(len(faults), 0.94),
            transform=panel.get_xaxis_transform(),
            linestyle="none",
            marker="v",
            markersize=6,
            color=style.LIMIT,
            label="fault",
        )


def _about(capacity: _Capacity) -> str:
    """Return means of a run's replicas and its faults, as text."""
    summary = capacity.variant.results.summary()
    texts = [f"{len(capacity.variant.results.fleet.replicas)} in all"]
    if "mean_replicas" in summary:
        texts.append(f"{summary['mean_replicas']:.3g} on in the mean")
    if capacity.faults:
        texts.append(f"{len(capacity.faults)} fault{'s' * (len(capacity.faults) > 1)}")
        if "availability" in summary:
            texts.append(f"availability {style.percent(summary['availability'])}")
    if "time_to_recover_s" in summary:
        recovery_s = summary["time_to_recover_s"]
        within = f"within {style.duration(recovery_s)}" if recovery_s else "at once"
        texts.append(f"queue recovered {within}")
    return ", ".join(texts)


def _draw_attained(
    panel: Axes, shown: Sequence[Variant], lines: Sequence[Timeline], second: float
) -> Iterator[str]:
    """Draw the share of requests within the SLO by arrival; yield a text about each run."""
    edges_s = np.linspace(0.0, end_s(lines), _BINS + 1)
    drawn = False
    for variant in shown:
        factors = metrics.strictness(variant.results)
        if factors is None or not len(factors):
            yield "has no SLO" if factors is None else "has no counted request"
            continue
        run = variant.results
        arrival_s = run.requests["arrival_s"].to_numpy()[metrics.is_judged(run)]
        every, good = (
            np.histogram(times_s, edges_s)[0] for times_s in (arrival_s, arrival_s[factors <= 1.0])
        )
        share = np.divide(100.0 * good, every, out=np.full(_BINS, np.nan), where=every > 0)
        panel.stairs(
            share,
            edges_s / second,
            baseline=None,
            color=variant.colour,
            linestyle=variant.dash,
            linewidth=1.5,
            label=variant.label if len(shown) > 1 else None,
        )
        drawn = True
        finished = np.isfinite(factors).any()
        within = f"{style.percent(float(np.mean(factors <= 1.0)))} within the SLO"
        yield within if finished else "no request finished"
    panel.set_ylim(0.0, 103.0)
    if not drawn:
        style.nothing(panel, "the scenario has no SLO")
    width_s = float(edges_s[1])
    width = style.duration(width_s) if width_s < 600.0 else f"{width_s / 60.0:.3g} min"
    if width_s >= 7_200.0:
        width = f"{width_s / 3600.0:.3g} h"
    style.title(panel, f"Requests within the SLO, by arrival in bins of {width}")


def _finding(shown: Sequence[Variant], shares: Sequence[str]) -> str:
    """Return attainment and cost of each run, as text."""
    texts = []
    for variant, share in zip(shown, shares, strict=True):
        usd = variant.results.summary().get("usd_per_hour")
        cost = "" if usd is None else f" at {usd:,.4g} USD/h"
        texts.append(f"{variant.label} {share}{cost}")
    return "; ".join(texts)
