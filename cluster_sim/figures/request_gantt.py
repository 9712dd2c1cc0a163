"""What happens to single requests: those about the longest wait, a bar each, by phase; the same
requests for every variant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cluster_sim.figures import style
from cluster_sim.results import metrics
from cluster_sim.results.results import Results

_REQUESTS = 40


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """A panel for each run, over one time axis."""
    return style.blank([3.4] * len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Requests in the order of their arrival, a row each on one of `axes` for each run, from
    arrival to finish [s], by phase.

    Drawn are the 40 that arrive about the one with the longest time in queue of the first run.
    Where preemptions tore an answer, the time that they took stands together before the decoding.
    """
    shown = style.variants(results)
    chosen = _about_the_longest_wait(results[0])
    seen: set[str] = set()
    said, last_s, first_s = [], 0.0, np.inf
    for panel, one in zip(axes, shown, strict=True):
        style.label(panel, y="request [number]")
        numbers, done = _finished_numbers(one.results), metrics.finished(one.results)
        mine = np.flatnonzero(np.isin(numbers, chosen))
        if not len(mine):
            style.title(panel, f"{one.label}: none of these requests finished")
            style.nothing(panel, "no request finished")
            continue
        left_s = done.arrival_s[mine].copy()
        for name, length_s in metrics.phases(one.results).items():
            if np.any(length_s[mine] > 0.0):
                panel.barh(
                    numbers[mine],
                    length_s[mine],
                    left=left_s,
                    height=0.8,
                    color=style.PHASES[name],
                    linewidth=0.0,
                )
                seen.add(name)
            left_s += length_s[mine]
        first_s, last_s = (
            min(first_s, float(np.min(done.arrival_s[mine]))),
            max(last_s, float(np.max(left_s))),
        )
        panel.invert_yaxis()
        panel.grid(False, axis="y")
        wait_s = float(np.max(done.queue_s[mine]))
        missing = len(chosen) - len(mine)
        style.title(
            panel,
            f"{one.label}: longest wait {style.duration(wait_s)}"
            + (f"; {missing} of these did not finish" if missing else ""),
        )
        said.append(
            f"{one.label} done within {style.duration(float(np.max(left_s) - np.min(done.arrival_s[mine])))}"
        )
    style.label(axes[-1], x="simulated time [s]")
    if said:
        axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes[-1].set_xlim(first_s - 0.01 * (last_s - first_s), last_s + 0.01 * (last_s - first_s))
        for name, colour in style.PHASES.items():
            if name in seen:
                axes[0].fill_between([], [], color=colour, label=name)
        style.shared_legend(axes[0])
    if (figure := axes[0].get_figure(root=True)) is not None:
        style.headline(
            figure,
            f"The {len(chosen)} requests about the longest wait: "
            + ("; ".join(said) or "no request finished"),
        )


def _about_the_longest_wait(results: Results) -> np.ndarray:
    """Numbers of requests that follow each other."""
    table, done = results.requests, metrics.finished(results)
    numbers: np.ndarray = table["request"].to_numpy()
    if not len(done.arrival_s):
        return numbers[:_REQUESTS]
    longest = int(np.argmax(done.queue_s))
    at = int(np.searchsorted(numbers, _finished_numbers(results)[longest]))
    # those that came before it was admitted, and a few more in a quiet time
    came = int(np.searchsorted(table["arrival_s"].to_numpy(), done.admitted_s[longest]))
    end = min(max(came, _REQUESTS), at + _REQUESTS)
    return numbers[max(min(end, len(numbers)) - _REQUESTS, 0) : end]


def _finished_numbers(results: Results) -> np.ndarray:
    table = results.requests
    numbers: np.ndarray = table["request"].to_numpy()[
        table["counted"].to_numpy() & (table["status"].to_numpy() == "finished")
    ]
    return numbers
