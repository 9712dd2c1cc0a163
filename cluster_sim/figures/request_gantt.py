"""Timelines of single requests around the longest wait: one bar per request, by phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_REQUESTS = 40


class _Bars(NamedTuple):
    """Extent of the bars of one run."""

    phases: set[str]
    first_s: float
    last_s: float


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and a panel for each run, over one time axis."""
    return style.blank([3.4] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw requests in the order of arrival, one row per request, from arrival to finish [s].

    Each run has one axes. All runs show the same 40 requests: they arrive around the request that
    waits longest in the first run. The times of a request's preemptions are drawn as one piece
    before decode.
    """
    chosen = _about_the_longest_wait(results[0])
    drawn: list[_Bars] = []
    texts = []
    for panel, variant in zip(axes, style.variants(results), strict=True):
        style.label(panel, y="request [number]")
        bars = _draw_requests(panel, variant, chosen)
        if bars is not None:
            drawn.append(bars)
            texts.append(
                f"{variant.label} done within {style.duration(bars.last_s - bars.first_s)}"
            )
    style.label(axes[-1], x="simulated time [s]")
    if drawn:
        first_s = min(bars.first_s for bars in drawn)
        last_s = max(bars.last_s for bars in drawn)
        axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes[-1].set_xlim(first_s - 0.01 * (last_s - first_s), last_s + 0.01 * (last_s - first_s))
        style.phase_legend(axes[0], set().union(*(bars.phases for bars in drawn)))
    style.headline(
        axes[0],
        f"{len(chosen)} requests around the longest wait: "
        + ("; ".join(texts) or "no request finished"),
    )


def _draw_requests(panel: Axes, variant: Variant, chosen: Array) -> _Bars | None:
    """Draw the chosen requests of a run; return None if none of these requests finished."""
    numbers, done = _finished_numbers(variant.results), metrics.finished(variant.results)
    rows = np.flatnonzero(np.isin(numbers, chosen))
    if not len(rows):
        style.title(panel, f"{variant.label}: none of these requests finished")
        style.nothing(panel, "no request finished")
        return None
    seen = set()
    left_s = done.arrival_s[rows].copy()
    for name, length_s in metrics.phases(variant.results).items():
        if np.any(length_s[rows] > 0.0):
            panel.barh(
                numbers[rows],
                length_s[rows],
                left=left_s,
                height=0.8,
                color=style.PHASES[name],
                linewidth=0.0,
            )
            seen.add(name)
        left_s += length_s[rows]
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    wait = style.duration(float(np.max(done.queue_s[rows])))
    missing = len(chosen) - len(rows)
    rest = f"; {missing} of these requests did not finish" if missing else ""
    style.title(panel, f"{variant.label}: longest wait {wait}{rest}")
    return _Bars(seen, float(np.min(done.arrival_s[rows])), float(np.max(left_s)))


def _about_the_longest_wait(results: Results) -> Array:
    """Return the numbers of consecutive requests around the longest wait of a run."""
    table, done = results.requests, metrics.finished(results)
    numbers: Array = table["request"].to_numpy()
    if not len(done.arrival_s):
        return numbers[:_REQUESTS]
    longest = int(np.argmax(done.queue_s))
    at = int(np.searchsorted(numbers, _finished_numbers(results)[longest]))
    # requests that arrived before it was admitted; a few more if they are fewer than 40
    before = int(np.searchsorted(table["arrival_s"].to_numpy(), done.admitted_s[longest]))
    end = min(max(before, _REQUESTS), at + _REQUESTS)
    return numbers[max(min(end, len(numbers)) - _REQUESTS, 0) : end]


def _finished_numbers(results: Results) -> Array:
    """Return the numbers of counted requests that finished."""
    table = results.requests
    numbers: Array = table["request"].to_numpy()[
        table["counted"].to_numpy() & (table["status"].to_numpy() == "finished")
    ]
    return numbers
