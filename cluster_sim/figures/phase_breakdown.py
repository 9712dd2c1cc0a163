"""Where requests' time goes: queue, prefill, hand-over, preemption and decode, from the quickest
requests to the slowest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.results import metrics
from cluster_sim.results.results import Results

_GROUPS = 50


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, over one axis."""
    return style.blank([2.3] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Mean time [s] by phase, stacked, of requests in groups of like end-to-end latency [%], one of
    `axes` for each run.

    Only finished requests; phases are those of metrics.phases, and together the end-to-end latency.
    """
    shown = style.variants(results)
    seen: set[str] = set()
    said = []
    for panel, one in zip(axes, shown, strict=True):
        style.label(panel, y="time [s]")
        phases = metrics.phases(one.results)
        total_s = np.sum(list(phases.values()), axis=0)
        if not len(total_s):
            style.title(panel, f"{one.label}: no request finished")
            style.nothing(panel, "no request finished")
            continue
        at, stack = grouped(phases, _GROUPS)
        below = np.zeros(len(at))
        for name, mean_s in stack.items():
            if np.any(mean_s > 0.0):
                panel.fill_between(
                    at, below, below + mean_s, color=style.PHASES[name], linewidth=0.0, step="mid"
                )
                seen.add(name)
            below = below + mean_s
        panel.set_ylim(bottom=0.0)
        slowest = total_s >= np.percentile(total_s, 99)
        style.title(
            panel,
            f"{one.label}: {_shares(phases, np.ones(len(total_s), bool))}; of the slowest 1 %: {_shares(phases, slowest)}",
        )
        said.append(f"{one.label} {style.duration(float(np.mean(total_s)))}")
    axes[-1].set_xlim(0.0, 100.0)
    style.label(
        axes[-1],
        x=f"requests by end-to-end latency, the slowest right [%], means of groups of {100 / _GROUPS:g} %",
    )
    for name, colour in style.PHASES.items():
        if name in seen:
            axes[0].fill_between([], [], color=colour, label=name)
    if seen:
        style.shared_legend(axes[0])
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(
            figure,
            "Where a request's time goes; end-to-end latency in the mean: "
            + ("; ".join(said) or "no request finished"),
        )


def grouped(phases: dict[str, np.ndarray], groups: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(middles of groups of requests by end-to-end latency [%], mean time of each phase in each
    group [s]).
    """
    order = np.argsort(np.sum(list(phases.values()), axis=0), kind="stable")
    edges = np.unique(np.linspace(0, len(order), min(groups, len(order)) + 1).astype(np.int64))
    sizes = np.diff(edges)
    middles = 100.0 * (edges[:-1] + sizes / 2) / len(order)
    return middles, {
        name: np.add.reduceat(length_s[order], edges[:-1]) / sizes
        for name, length_s in phases.items()
    }


def _shares(phases: dict[str, np.ndarray], which: np.ndarray) -> str:
    sums = {name: float(np.sum(length_s[which])) for name, length_s in phases.items()}
    whole = sum(sums.values()) or 1.0
    return ", ".join(
        f"{name} {style.percent(one / whole)}" for name, one in sums.items() if one > 0.0
    )
