"""How full the KV cache is over simulated time: each replica, how full the fullest is, and where
requests are preempted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis, mark_warmup, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results

_MOST_LINES = 16
_FULL = 0.95


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, over one time axis."""
    return style.blank([2.1] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """KV room used [%]: the mean of a run's replicas, thin lines for each where they are few, and
    marks where one was preempted.

    Room is in tokens; means are over equal bins of simulated time.
    """
    shown = style.variants(results)
    lines = [metrics.timeline(one) for one in results]
    second, unit = time_unit(lines)
    mark_warmup(axes, shown, second)
    for panel, one, line in zip(axes, shown, lines, strict=True):
        at = line.time_s / second
        replicas = len(line.kv_fractions)
        if 1 < replicas <= _MOST_LINES:
            for place, fraction in enumerate(line.kv_fractions):
                panel.plot(
                    at,
                    100.0 * fraction,
                    color=one.colour,
                    linewidth=0.6,
                    alpha=0.6,
                    label="a replica" if place == 0 else None,
                )
        elif replicas > 1:
            least = np.min(line.kv_fractions, axis=0)
            panel.fill_between(
                at,
                100.0 * least,
                100.0 * line.kv_fraction_max,
                color=one.colour,
                alpha=0.25,
                linewidth=0.0,
                label="emptiest to fullest replica",
            )
        panel.plot(
            at,
            100.0 * line.kv_fraction,
            color=one.colour,
            linewidth=1.6,
            label="mean of replicas" if replicas > 1 else "replica",
        )
        events = one.results.events
        preempted_s = events["at_s"].to_numpy()[events["what"].to_numpy() == "preempted"]
        if len(preempted_s):
            label = f"{len(preempted_s)} preemptions"
            panel.plot(
                preempted_s / second,
                np.full(len(preempted_s), 103.0),
                "|",
                color="black",
                markersize=5.0,
                clip_on=False,
                label=label,
            )
        panel.axhline(100.0, color=style.GREY, linewidth=0.8, linestyle=(0, (2.0, 2.0)))
        panel.set_ylim(0.0, 108.0)
        style.label(panel, y="KV room used [%]")
        style.title(panel, _said(one, line))
        panel.legend(loc="center right", fontsize=8, framealpha=0.8, ncols=3)
    style.label(axes[-1], x=f"simulated time [{unit}]")
    lay_time_axis(axes, max(line.bin_s * len(line.time_s) for line in lines), second)
    if (figure := axes[0].get_figure(root=True)) is not None:
        most = [
            f"{one.label} {style.percent(min(float(np.max(line.kv_fraction_max)), 1.0))}"
            for one, line in zip(shown, lines, strict=True)
        ]
        style.headline(figure, "KV room used, most in a bin: " + "; ".join(most))


def _said(one: Variant, line: Timeline) -> str:
    room = sum(
        deployment.replica_count * deployment.kv_tokens
        for deployment in one.results.fleet.deployments
    )
    full = float(np.mean(line.kv_fraction_max > _FULL))
    text = f"{one.label}: room for {room:,} tokens".replace(",", " ")
    return f"{text}; the fullest replica is above {100 * _FULL:.0f} % for {style.percent(full)} of the time"
