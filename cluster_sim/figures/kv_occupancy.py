"""Occupancy of the KV cache over simulated time, with preemptions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import end_s, lay_time_axis, mark_warmup, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results

_MOST_LINES = 16
_FULL = 0.95


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run, over one time axis."""
    return style.blank([2.1] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the share of the KV cache that is used [%]: mean of a run's replicas over equal bins.

    Thin lines are single replicas, up to 16 of them. Marks are preemptions.
    """
    shown = style.variants(results)
    lines = metrics.timelines(results)
    second, unit = time_unit(lines)
    mark_warmup(axes, shown, second)
    for panel, variant, line in zip(axes, shown, lines, strict=True):
        _draw_replicas(panel, variant, line, second)
        _draw_preemptions(panel, variant.results, second)
        panel.axhline(100.0, color=style.GREY, linewidth=0.8, linestyle=style.DOTTED)
        panel.set_ylim(0.0, 108.0)
        style.label(panel, y="KV cache used [%]")
        style.title(panel, _title(variant, line))
        panel.legend(loc="center right", fontsize=8, framealpha=0.8, ncols=3)
    style.label(axes[-1], x=f"simulated time [{unit}]")
    lay_time_axis(axes, end_s(lines), second)
    most = [
        f"{variant.label} {style.percent(min(float(np.max(line.kv_fraction_max)), 1.0))}"
        for variant, line in zip(shown, lines, strict=True)
    ]
    style.headline(axes[0], "KV cache used, maximum of any replica: " + "; ".join(most))


def _draw_replicas(panel: Axes, variant: Variant, line: Timeline, second: float) -> None:
    """Draw the mean of the replicas, and each replica or, for many replicas, their range."""
    at, replicas = line.time_s / second, len(line.kv_fractions)
    if 1 < replicas <= _MOST_LINES:
        for place, fraction in enumerate(line.kv_fractions):
            panel.plot(
                at,
                100.0 * fraction,
                color=variant.colour,
                linewidth=0.6,
                alpha=0.6,
                label="single replica" if place == 0 else None,
            )
    elif replicas > 1:
        panel.fill_between(
            at,
            100.0 * np.min(line.kv_fractions, axis=0),
            100.0 * line.kv_fraction_max,
            color=variant.colour,
            alpha=0.25,
            linewidth=0.0,
            label="range of replicas",
        )
    panel.plot(
        at,
        100.0 * line.kv_fraction,
        color=variant.colour,
        linewidth=1.6,
        label="mean of replicas" if replicas > 1 else "replica",
    )


def _draw_preemptions(panel: Axes, results: Results, second: float) -> None:
    events = results.events
    preempted_s = events["at_s"].to_numpy()[events["what"].to_numpy() == "preempted"]
    if len(preempted_s):
        panel.plot(
            preempted_s / second,
            np.full(len(preempted_s), 103.0),
            "|",
            color="black",
            markersize=5.0,
            clip_on=False,
            label=f"{len(preempted_s)} preemptions",
        )


def _title(variant: Variant, line: Timeline) -> str:
    tokens = sum(
        deployment.replica_count * deployment.kv_tokens
        for deployment in variant.results.fleet.deployments
    )
    full = style.percent(float(np.mean(line.kv_fraction_max > _FULL)))
    text = f"{variant.label}: capacity {tokens:,} tokens".replace(",", " ")
    return f"{text}; the fullest replica is above {100 * _FULL:.0f} % for {full} of the time"
