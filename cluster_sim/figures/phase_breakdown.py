"""Phases of requests' latency, from the fastest requests to the slowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.results import metrics
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_GROUPS = 50


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run, over one axis."""
    return style.blank([2.3] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw the mean time per phase [s], stacked, of groups of requests in the order of latency.

    Each run has one axes. Only finished requests are drawn. Phases are those of metrics.phases;
    their sum is the end-to-end latency.
    """
    seen: set[str] = set()
    texts = []
    for panel, variant in zip(axes, style.variants(results), strict=True):
        style.label(panel, y="time [s]")
        phases = metrics.phases(variant.results)
        total_s = np.sum(list(phases.values()), axis=0)
        if not len(total_s):
            style.title(panel, f"{variant.label}: no request finished")
            style.nothing(panel, "no request finished")
            continue
        seen |= _stack(panel, phases)
        everyone = np.ones(len(total_s), bool)
        slowest = total_s >= np.percentile(total_s, 99)
        style.title(
            panel,
            f"{variant.label}: {_shares(phases, everyone)}; of the slowest 1 %: "
            f"{_shares(phases, slowest)}",
        )
        texts.append(f"{variant.label} {style.duration(float(np.mean(total_s)))}")
    axes[-1].set_xlim(0.0, 100.0)
    groups = f"means of groups of {100 / _GROUPS:g} %"
    style.label(
        axes[-1], x=f"requests in the order of end-to-end latency, slowest right [%], {groups}"
    )
    style.phase_legend(axes[0], seen)
    style.headline(
        axes[0],
        "Phases of a request; mean end-to-end latency: "
        + ("; ".join(texts) or "no request finished"),
    )


def _stack(panel: Axes, phases: Mapping[str, Array]) -> set[str]:
    """Stack the phases; return the names of phases with a time above 0."""
    at, stack = grouped(phases, _GROUPS)
    below, seen = np.zeros(len(at)), set()
    for name, mean_s in stack.items():
        if np.any(mean_s > 0.0):
            panel.fill_between(
                at, below, below + mean_s, color=style.PHASES[name], linewidth=0.0, step="mid"
            )
            seen.add(name)
        below = below + mean_s
    panel.set_ylim(bottom=0.0)
    return seen


def grouped(phases: Mapping[str, Array], groups: int) -> tuple[Array, dict[str, Array]]:
    """Return the mean time of each phase in groups of requests of similar latency.

    Parameters
    ----------
    phases
        Time of each request in each phase [s], by the name of the phase.
    groups
        Number of groups.

    Returns
    -------
    middles : Array
        Middle of each group in the order of latency [%].
    means : dict
        Mean time of each group [s], by the name of the phase.

    Examples
    --------
    >>> grouped({"queue": np.array([3.0, 1.0])}, 2)
    (array([25., 75.]), {'queue': array([1., 3.])})
    """
    order = np.argsort(np.sum(list(phases.values()), axis=0), kind="stable")
    edges = np.unique(np.linspace(0, len(order), min(groups, len(order)) + 1).astype(np.int64))
    sizes = np.diff(edges)
    middles = 100.0 * (edges[:-1] + sizes / 2) / len(order)
    return middles, {
        name: np.add.reduceat(length_s[order], edges[:-1]) / sizes
        for name, length_s in phases.items()
    }


def _shares(phases: Mapping[str, Array], chosen: Array) -> str:
    """Return the share of each phase in the time of the chosen requests, as text."""
    sums = {name: float(np.sum(length_s[chosen])) for name, length_s in phases.items()}
    whole = sum(sums.values()) or 1.0
    return ", ".join(
        f"{name} {style.percent(sum_s / whole)}" for name, sum_s in sums.items() if sum_s > 0.0
    )
