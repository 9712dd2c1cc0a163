"""Cumulative distributions of measured latencies beside simulated ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.latency_panels import KINDS, legend_below
from cluster_sim.typing import Array

_MEASURED = "black"


class Curves(NamedTuple):
    """Latencies of the requests of one measurement or simulation."""

    label: str
    """Text that names it in the legend."""
    is_measured: bool
    """Whether it was measured, and not simulated."""
    values_s: Mapping[str, Array]
    """Latencies of finished requests by kind: ttft, tpot, e2el [s]."""


def of_latencies(shown: Sequence[Curves]) -> Figure:
    """Return the figure: one panel for each kind of latency, measurements in black.

    Parameters
    ----------
    shown
        Measurements and simulations, in the order in which they are drawn.
    """
    figure, axes = style.blank([3.4 + 0.17 * len(shown)], columns=3, share_y=True)
    simulated = [each.label for each in shown if not each.is_measured]
    looks = {label: style.look(place) for place, label in enumerate(simulated)}
    for panel, kind in zip(axes, KINDS, strict=True):
        columns = [np.sort(each.values_s[kind.key]) for each in shown]
        scale, unit = style.latency_unit(*columns)
        style.title(panel, kind.name)
        style.label(panel, x=f"{kind.short} [{unit}]")
        panel.set_ylim(0.0, 102.0)
        for each, values_s in zip(shown, columns, strict=True):
            colour, dash = (_MEASURED, "-") if each.is_measured else looks[each.label]
            share = 100.0 * np.arange(1, len(values_s) + 1) / max(len(values_s), 1)
            median = style.duration(float(np.median(values_s))) if len(values_s) else "none"
            panel.plot(
                scale * values_s,
                share,
                color=colour,
                linestyle=dash,
                linewidth=1.2 if each.is_measured else 1.8,
                drawstyle="steps-post",
                label=f"{each.label}, median {median}",
            )
        style.logarithmic(panel, "x")
        legend_below(panel)
    style.label(axes[0], y="requests within this latency [%]")
    return figure
