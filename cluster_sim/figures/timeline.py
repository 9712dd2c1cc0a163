"""What fills up when: arrivals, queue, batch, KV cache, memory bandwidth and compute over simulated time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim import metrics
from cluster_sim.figures import style
from cluster_sim.figures.over_time import draw_arrivals, mark_warmup, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.metrics import Timeline
from cluster_sim.results import Results

Column = Callable[[Timeline], np.ndarray]


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Six panels over one time axis."""
    return style.blank([1.15, 1.3, 1.3, 1.3, 1.3, 1.3 + 0.55], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Means over equal bins of simulated time on the six `axes`; see metrics.Timeline for what each is exactly."""
    shown = style.variants(results)
    lines = [metrics.timeline(one) for one in results]
    second, unit = time_unit(lines)
    arrivals, waiting, running, kv, bandwidth, compute = axes
    mark_warmup(axes, shown, second)
    draw_arrivals(arrivals, shown, lines, second)

    def overlay(panel: Axes, column: Column, scale: float = 1.0) -> None:
        for one, line in zip(shown, lines, strict=True):
            panel.plot(line.time_s / second, scale * column(line), color=one.colour, linestyle=one.dash, linewidth=1.3, drawstyle="steps-mid", label=one.label)
        panel.set_ylim(bottom=0.0)

    def finding(lead: str, say: Callable[[Variant, Timeline], str]) -> str:
        return f"{lead}: " + ", ".join(f"{one.label} {say(one, line)}" for one, line in zip(shown, lines, strict=True))

    overlay(waiting, lambda line: line.waiting)
    style.title(waiting, finding("Requests waiting, most in a bin", lambda _, line: f"{np.max(line.waiting):.3g}"))
    style.label(waiting, y="waiting\n[requests]")

    overlay(running, lambda line: line.running)
    style.title(running, finding("Requests running, most in a bin", lambda one, line: f"{np.max(line.running):.3g} of {_places(one.results)} places"))
    style.label(running, y="running\n[requests]")

    overlay(kv, lambda line: line.kv_fraction, 100.0)
    several = False
    for one, line in zip(shown, lines, strict=True):
        if float(np.max(line.kv_fraction_max - line.kv_fraction)) > 1e-3:
            several = True
            kv.fill_between(line.time_s / second, 100 * line.kv_fraction, 100 * line.kv_fraction_max, step="mid", color=one.colour, alpha=0.25, linewidth=0.0)
    lead = "KV room used (line: mean of replicas, shade: up to the fullest), most" if several else "KV room used, most"
    style.title(kv, finding(lead, lambda _, line: style.percent(float(np.max(line.kv_fraction_max)))))
    style.label(kv, y="KV room\nused [%]")

    overlay(bandwidth, lambda line: line.bandwidth_utilisation, 100.0)
    style.title(bandwidth, finding("Memory bandwidth, mean over the run", lambda _, line: style.percent(float(np.mean(line.bandwidth_utilisation)))))
    style.label(bandwidth, y="bandwidth\nused [%]")

    overlay(compute, lambda line: line.compute_utilisation, 100.0)
    style.title(compute, finding("Compute, mean over the run", lambda _, line: style.percent(float(np.mean(line.compute_utilisation)))))
    widths = sorted({f"{line.bin_s:.2g}" for line in lines}, key=float)
    style.label(compute, x=f"simulated time [{unit}], means over bins of {' or '.join(widths)} s", y="compute\nused [%]")

    compute.set_xlim(0.0, max(line.bin_s * len(line.time_s) for line in lines) / second)
    compute.legend(loc="upper center", bbox_to_anchor=(0.5, -0.5), ncols=4, fontsize=9, frameon=False, handlelength=3.0)
    if (figure := compute.get_figure(root=True)) is not None:
        style.headline(figure, _finding(shown, lines))


def _places(results: Results) -> int:
    """Requests that the batches of all replicas hold at once."""
    model = results.scenario.model
    return sum(pool.replica_count(model) * pool.max_sequences for pool in results.scenario.cluster.pools)


def _finding(shown: Sequence[Variant], lines: Sequence[Timeline]) -> str:
    """Who lets requests wait for how much of the time."""
    said = []
    for one, line in zip(shown, lines, strict=True):
        queued = float(np.mean(line.waiting >= 1.0))
        said.append(f"{one.label} {style.percent(queued)}")
    return "Share of the time in which at least one request waits: " + ", ".join(said)
