"""What fills up when: arrivals, queue, batch, KV cache, memory bandwidth and compute over simulated
time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import draw_arrivals, lay_time_axis, mark_warmup, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.results import metrics
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results

Column = Callable[[Timeline], np.ndarray]


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Six panels over one time axis."""
    return style.blank([1.15, 1.3, 1.3, 1.3, 1.3, 1.3], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Means over equal bins of simulated time on the six `axes`; see metrics.Timeline for what each
    is exactly.
    """
    shown = style.variants(results)
    lines = [metrics.timeline(one) for one in results]
    second, unit = time_unit(lines)
    arrivals, waiting, running, kv, bandwidth, compute = axes
    mark_warmup(axes, shown, second)
    draw_arrivals(arrivals, shown, lines, second)

    def overlay(panel: Axes, column: Column, scale: float = 1.0) -> None:
        for one, line in zip(shown, lines, strict=True):
            panel.plot(
                line.time_s / second,
                scale * column(line),
                color=one.colour,
                linestyle=one.dash,
                linewidth=1.3,
                drawstyle="steps-mid",
                label=one.label,
            )
        panel.set_ylim(bottom=0.0)
        if (
            scale == 100.0
        ):  # a few round ends, so that a panel that is hardly used does not look full
            most = 100.0 * max(float(np.max(column(line))) for line in lines)
            panel.set_ylim(
                top=next(
                    (end for end in (1.0, 10.0, 25.0, 50.0) if most <= 0.95 * end), max(102.0, most)
                )
            )

    def finding(lead: str, say: Callable[[Variant, Timeline], str]) -> str:
        return f"{lead}: " + ", ".join(
            f"{one.label} {say(one, line)}" for one, line in zip(shown, lines, strict=True)
        )

    overlay(waiting, lambda line: line.waiting)
    style.title(
        waiting,
        finding(
            "Requests waiting, most in a bin", lambda _, line: _few(float(np.max(line.waiting)))
        ),
    )
    style.label(waiting, y="waiting\n[requests]")

    overlay(running, lambda line: line.running)
    style.title(
        running,
        finding(
            "Requests running, of places, most in a bin",
            lambda one, line: f"{_few(float(np.max(line.running)))} of {_places(one.results)}",
        ),
    )
    style.label(running, y="running\n[requests]")

    overlay(kv, lambda line: line.kv_fraction, 100.0)
    several = False
    for one, line in zip(shown, lines, strict=True):
        if float(np.max(line.kv_fraction_max - line.kv_fraction)) > 1e-3:
            several = True
            kv.fill_between(
                line.time_s / second,
                100 * line.kv_fraction,
                100 * line.kv_fraction_max,
                step="mid",
                color=one.colour,
                alpha=0.25,
                linewidth=0.0,
            )
    lead = (
        "KV room used (line: mean of replicas, shade: up to the fullest), most"
        if several
        else "KV room used, most"
    )
    style.title(
        kv, finding(lead, lambda _, line: style.percent(float(np.max(line.kv_fraction_max))))
    )
    style.label(kv, y="KV room\nused [%]")

    overlay(bandwidth, lambda line: line.bandwidth_utilisation, 100.0)
    style.title(
        bandwidth,
        finding(
            "Memory bandwidth, mean over the run",
            lambda _, line: style.percent(float(np.mean(line.bandwidth_utilisation))),
        ),
    )
    style.label(bandwidth, y="bandwidth\nused [%]")

    overlay(compute, lambda line: line.compute_utilisation, 100.0)
    style.title(
        compute,
        finding(
            "Compute, mean over the run",
            lambda _, line: style.percent(float(np.mean(line.compute_utilisation))),
        ),
    )
    shortest_s, longest_s = (pick(line.bin_s for line in lines) for pick in (min, max))
    bins = (
        f"about {longest_s:.2g} s"
        if longest_s < 1.1 * shortest_s
        else f"{shortest_s:.2g} to {longest_s:.2g} s"
    )
    style.label(
        compute, x=f"simulated time [{unit}], means over bins of {bins}", y="compute\nused [%]"
    )

    lay_time_axis(axes, max(line.bin_s * len(line.time_s) for line in lines), second)
    style.shared_legend(compute)
    if (figure := compute.get_figure(root=True)) is not None:
        style.headline(figure, _finding(shown, lines))


def _places(results: Results) -> int:
    """Return the number of batch slots of all replicas."""
    return sum(
        deployment.replica_count * deployment.pool.max_sequences
        for deployment in results.fleet.deployments
    )


def _few(requests: float) -> str:
    """A mean number of requests: whole, or with a digit where it is small."""
    return (
        f"{requests:.0f}"
        if requests >= 10.0
        else f"{requests:.1f}"
        if requests >= 0.05 or not requests
        else "< 0.1"
    )


def _finding(shown: Sequence[Variant], lines: Sequence[Timeline]) -> str:
    """What comes nearest to its limit, and how many requests wait at worst."""
    said = []
    for one, line in zip(shown, lines, strict=True):
        most = peaks(one.results, line)
        fullest = max(most, key=lambda name: most[name])
        said.append(
            f"{one.label} {fullest} {style.percent(min(most[fullest], 1.0))} (queue {_few(float(np.max(line.waiting)))})"
        )
    return "What fills up most: " + "; ".join(said)


def peaks(results: Results, line: Timeline) -> dict[str, float]:
    """How near each resource comes to its limit, as a share of it, in the bin where it is most."""
    return {
        "batch places": float(np.max(line.running)) / _places(results),
        "KV room": float(np.max(line.kv_fraction_max)),
        "bandwidth": float(np.max(line.bandwidth_utilisation)),
        "compute": float(np.max(line.compute_utilisation)),
    }
