"""Load over time: arrivals, queue, running requests, KV cache, memory bandwidth and compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import (
    draw_arrivals,
    draw_waiting,
    end_s,
    lay_time_axis,
    mark_warmup,
    time_unit,
)
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

Column = Callable[[Timeline], Array]


@dataclass(frozen=True)
class _Lines:
    """Timelines of the runs that are drawn."""

    shown: Sequence[Variant]
    """Runs with their looks."""
    lines: Sequence[Timeline]
    """Timelines of the runs."""
    second: float
    """Seconds per unit of the time axis."""

    def overlay(self, panel: Axes, column: Column, scale: float = 1.0) -> None:
        """Draw a column of every run's timeline."""
        for variant, line in zip(self.shown, self.lines, strict=True):
            variant.line(
                panel,
                line.time_s / self.second,
                scale * column(line),
                linewidth=1.3,
                drawstyle="steps-mid",
                label=variant.label,
            )
        panel.set_ylim(bottom=0.0)

    def overlay_shares(self, panel: Axes, column: Column) -> None:
        """Draw a column of shares of every run's timeline [%]."""
        self.overlay(panel, column, 100.0)
        highest = 100.0 * max(float(np.max(column(line))) for line in self.lines)
        style.round_percent(panel, highest, max(102.0, highest))

    def title(self, panel: Axes, lead: str, text: Callable[[Variant, Timeline], str]) -> None:
        """Write the title of a panel: `lead`, then a text about each run."""
        texts = (
            f"{variant.label} {text(variant, line)}"
            for variant, line in zip(self.shown, self.lines, strict=True)
        )
        style.title(panel, f"{lead}: {', '.join(texts)}")


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and six panels over one time axis."""
    return style.blank([1.15, 1.3, 1.3, 1.3, 1.3, 1.3], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw means over equal bins of simulated time on six axes.

    metrics.Timeline defines each quantity.
    """
    shown = style.variants(results)
    lines = metrics.timelines(results)
    second, unit = time_unit(lines)
    drawn = _Lines(shown, lines, second)
    arrivals, waiting, running, kv, bandwidth, compute = axes
    mark_warmup(axes, shown, second)
    draw_arrivals(arrivals, shown, lines, second)
    _draw_waiting(drawn, waiting)
    _draw_running(drawn, running)
    _draw_kv(drawn, kv)
    _draw_bandwidth(drawn, bandwidth)
    _draw_compute(drawn, compute)
    style.label(
        compute,
        x=f"simulated time [{unit}], means over bins of {_bins(lines)}",
        y="compute\nused [%]",
    )
    lay_time_axis(axes, end_s(lines), second)
    style.shared_legend(compute)
    style.headline(compute, _finding(shown, lines))


def _draw_waiting(drawn: _Lines, panel: Axes) -> None:
    draw_waiting(panel, drawn.shown, drawn.lines, drawn.second)
    drawn.title(
        panel,
        "Requests waiting, maximum of a bin",
        lambda _, line: _few(float(np.max(line.waiting))),
    )
    style.label(panel, y="waiting\n[requests]")


def _draw_running(drawn: _Lines, panel: Axes) -> None:
    drawn.overlay(panel, lambda line: line.running)
    drawn.title(
        panel,
        "Requests running (maximum of a bin), of all batch slots",
        lambda variant, line: f"{_few(float(np.max(line.running)))} of {_slots(variant.results)}",
    )
    style.label(panel, y="running\n[requests]")


def _draw_kv(drawn: _Lines, panel: Axes) -> None:
    drawn.overlay_shares(panel, lambda line: line.kv_fraction)
    lead = "KV cache used, maximum"
    for variant, line in zip(drawn.shown, drawn.lines, strict=True):
        if float(np.max(line.kv_fraction_max - line.kv_fraction)) > 1e-3:
            lead = "KV cache used (line: mean of replicas, shade: up to the fullest), maximum"
            panel.fill_between(
                line.time_s / drawn.second,
                100 * line.kv_fraction,
                100 * line.kv_fraction_max,
                step="mid",
                color=variant.colour,
                alpha=0.25,
                linewidth=0.0,
            )
    drawn.title(panel, lead, lambda _, line: style.percent(float(np.max(line.kv_fraction_max))))
    style.label(panel, y="KV cache\nused [%]")


def _draw_bandwidth(drawn: _Lines, panel: Axes) -> None:
    drawn.overlay_shares(panel, lambda line: line.bandwidth_utilisation)
    drawn.title(
        panel,
        "Memory bandwidth used, mean over the run",
        lambda _, line: style.percent(float(np.mean(line.bandwidth_utilisation))),
    )
    style.label(panel, y="bandwidth\nused [%]")


def _draw_compute(drawn: _Lines, panel: Axes) -> None:
    drawn.overlay_shares(panel, lambda line: line.compute_utilisation)
    drawn.title(
        panel,
        "Compute used, mean over the run",
        lambda _, line: style.percent(float(np.mean(line.compute_utilisation))),
    )


def _bins(lines: Sequence[Timeline]) -> str:
    """Return the width of the bins of all runs, as text."""
    shortest_s, longest_s = (pick(line.bin_s for line in lines) for pick in (min, max))
    if longest_s < 1.1 * shortest_s:
        return f"about {longest_s:.2g} s"
    return f"{shortest_s:.2g} to {longest_s:.2g} s"


def _slots(results: Results) -> int:
    """Return the number of batch slots of all replicas."""
    return sum(
        deployment.replica_count * deployment.pool.max_sequences
        for deployment in results.fleet.deployments
    )


def _few(requests: float) -> str:
    """Return a mean number of requests as text; below 10 it has one decimal."""
    if requests >= 10.0:
        return f"{requests:.0f}"
    return f"{requests:.1f}" if requests >= 0.05 or not requests else "< 0.1"


def _finding(shown: Sequence[Variant], lines: Sequence[Timeline]) -> str:
    """Return the fullest resource of each run, and its longest queue, as text."""
    texts = []
    for variant, line in zip(shown, lines, strict=True):
        shares = peaks(variant.results, line)
        fullest = max(shares, key=lambda name: shares[name])
        queue = _few(float(np.max(line.waiting)))
        share = style.percent(min(shares[fullest], 1.0))
        texts.append(f"{variant.label} {fullest} {share} (up to {queue} requests waiting)")
    return "Fullest resource: " + "; ".join(texts)


def peaks(results: Results, line: Timeline) -> dict[str, float]:
    """Return the maximum use of each resource in any bin, as a share of its limit.

    Parameters
    ----------
    results
        Results of a run.
    line
        Timeline of the run.

    Returns
    -------
    dict
        Share by the name of the resource: batch slots, KV cache (of the fullest replica), memory
        bandwidth, compute.
    """
    return {
        "batch slots": float(np.max(line.running)) / _slots(results),
        "KV cache": float(np.max(line.kv_fraction_max)),
        "memory bandwidth": float(np.max(line.bandwidth_utilisation)),
        "compute": float(np.max(line.compute_utilisation)),
    }
