"""What heat does: temperature, clock and power of each run's hottest device, the queue, and TTFT,
under one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import lay_time_axis, mark_warmup, time_unit
from cluster_sim.figures.style import Variant
from cluster_sim.figures.ttft_over_time import rolling
from cluster_sim.hardware.device import Device
from cluster_sim.results import metrics
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results

_NOTHING = "nothing is said of the site's inlet"


@dataclass(frozen=True)
class Hottest:
    """The device of a run that comes nearest to its limit, or is the hottest where none has limits;
    values in bins.
    """

    name: str
    device: Device
    at_s: np.ndarray
    """Ends of the bins."""
    die_c: np.ndarray
    memory_c: np.ndarray
    power_w: np.ndarray
    clock: np.ndarray


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Five panels over one time axis."""
    return style.blank([1.9, 1.2, 1.2, 1.2, 1.5], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Highest temperatures, lowest clocks and mean power of bins of simulated time; requests
    waiting; p99 of TTFT about each arrival.
    """
    shown = style.variants(results)
    lines, found = [metrics.timeline(one) for one in results], [hottest(one) for one in results]
    second, unit = time_unit(lines)
    warmth, clock, power, queue, ttft = axes
    mark_warmup(axes, shown, second)
    for one, hot in zip(shown, found, strict=True):
        if hot is not None:
            look: dict[str, Any] = {"color": one.colour, "linestyle": one.dash, "linewidth": 1.3}
            warmth.plot(hot.at_s / second, hot.die_c, label=one.label, **look)
            clock.plot(hot.at_s / second, 100 * hot.clock, drawstyle="steps-pre", **look)
            power.plot(hot.at_s / second, hot.power_w, drawstyle="steps-pre", **look)
    _limits(warmth, found)
    for panel, values in ((clock, "clock\n[% of cool]"), (power, "power\n[W]")):
        style.label(panel, y=values)
        if all(hot is None for hot in found):
            style.nothing(panel, _NOTHING)
    style.label(warmth, y="die\n[°C]")
    if all(hot is None for hot in found):
        style.nothing(warmth, _NOTHING)
    clock.set_ylim(top=103.0)
    power.set_ylim(bottom=0.0)
    style.title(
        warmth,
        "Hottest device: "
        + ", ".join(f"{one.label} {_of(one, hot)}" for one, hot in zip(shown, found, strict=True)),
    )
    style.title(
        clock,
        "Its clock, lowest: "
        + ", ".join(f"{one.label} {_clock(hot)}" for one, hot in zip(shown, found, strict=True)),
    )
    style.title(
        power,
        "Its power, mean over the run: "
        + ", ".join(f"{one.label} {_watts(hot)}" for one, hot in zip(shown, found, strict=True)),
    )
    _queue(queue, shown, lines, second)
    _ttft(ttft, shown, second)
    style.label(axes[-1], x=f"simulated time [{unit}]")
    lay_time_axis(axes, max(line.bin_s * len(line.time_s) for line in lines), second)
    style.shared_legend(queue)
    if (figure := warmth.get_figure(root=True)) is not None:
        style.headline(figure, _finding(shown))


def hottest(results: Results) -> Hottest | None:
    """Of a run; None where nothing is known of temperatures."""
    table = results.thermal
    if not table.num_rows:
        return None
    names = table["device"].to_numpy()
    devices = {pool.name: pool.node.device for pool in results.scenario.cluster.pools}

    def over_k(name: str) -> float:
        limits = devices[name.partition("/")[0]].limits
        highest_c = float(np.max(table["die_c"].to_numpy()[names == name]))
        return highest_c - limits.operating_c if limits is not None else highest_c - 1000.0

    name = max(dict.fromkeys(names.tolist()), key=over_k)
    columns = (
        table[column].to_numpy()[names == name]
        for column in ("at_s", "die_c", "memory_c", "power_w", "clock")
    )
    return Hottest(name, devices[name.partition("/")[0]], *columns)


def _limits(panel: Axes, found: Sequence[Hottest | None]) -> None:
    """Where clocks begin to fall, and where hardware halves them, for limits that are not far away."""
    drawn = {
        (limits.operating_c, "clock falls")
        for hot in found
        if hot is not None and (limits := hot.device.limits) is not None
    }
    drawn |= {
        (limits.slowdown_c, "clock halved")
        for hot in found
        if hot is not None and (limits := hot.device.limits) is not None
    }
    highest_c = max((float(np.max(hot.die_c)) for hot in found if hot is not None), default=0.0)
    for limit_c, text in sorted(drawn):
        if limit_c < highest_c + 12.0:
            panel.axhline(
                limit_c,
                color="#B00020",
                linewidth=1.0,
                linestyle="-" if text == "clock falls" else ":",
            )
            panel.annotate(
                f"{text} {limit_c:.0f} °C", (1.0, limit_c), xycoords=panel.get_yaxis_transform(), xytext=(0.0, -2.0 if text == "clock falls" else 1.5),
                textcoords="offset points", ha="right", va="top" if text == "clock falls" else "bottom", fontsize=8, color="#B00020",
            )  # fmt: skip


def _queue(panel: Axes, shown: Sequence[Variant], lines: Sequence[Timeline], second: float) -> None:
    for one, line in zip(shown, lines, strict=True):
        panel.plot(
            line.time_s / second,
            line.waiting,
            color=one.colour,
            linestyle=one.dash,
            linewidth=1.3,
            drawstyle="steps-mid",
            label=one.label,
        )
    panel.set_ylim(bottom=0.0)
    most = ", ".join(
        f"{one.label} {float(np.max(line.waiting)):.3g}"
        for one, line in zip(shown, lines, strict=True)
    )
    style.title(panel, f"Requests waiting, most in a bin: {most}")
    style.label(panel, y="waiting\n[requests]")


def _ttft(panel: Axes, shown: Sequence[Variant], second: float) -> None:
    done = [metrics.finished(one.results) for one in shown]
    window_s = max(
        (float(np.ptp(one.arrival_s)) / 40 for one in done if len(one.arrival_s)), default=0.0
    )
    scale, of = style.latency_unit(*(one.ttft_s for one in done))
    said = []
    for one, column in zip(shown, done, strict=True):
        if len(column.ttft_s):
            at_s, _, p99_s = rolling(column.arrival_s, column.ttft_s, window_s)
            panel.plot(
                at_s / second, scale * p99_s, color=one.colour, linestyle=one.dash, linewidth=1.3
            )
            said.append(f"{one.label} {style.duration(float(np.percentile(column.ttft_s, 99)))}")
    style.label(panel, y=f"TTFT p99\n[{of}]")
    if not said:
        style.nothing(panel, "no request finished")
        style.title(panel, "TTFT p99: no request finished")
        return
    panel.set_ylim(bottom=0.0)
    style.title(
        panel,
        f"TTFT p99 of those that arrived within {style.duration(window_s)} about each time; of all: {', '.join(said)}",
    )


def _of(one: Variant, hot: Hottest | None) -> str:
    return (
        "not known"
        if hot is None
        else f"{hot.name.partition('/')[2]} {float(np.max(hot.die_c)):.1f} °C"
    )


def _clock(hot: Hottest | None) -> str:
    return "not known" if hot is None else f"{100 * float(np.min(hot.clock)):.3g} %"


def _watts(hot: Hottest | None) -> str:
    return "not known" if hot is None else f"{float(np.mean(hot.power_w)):.0f} W"


def _finding(shown: Sequence[Variant]) -> str:
    said = []
    for one in shown:
        share = one.results.summary().get("throttled_fraction")
        said.append(f"{one.label} {'not known' if share is None else style.percent(share)}")
    return f"Throttled by heat, mean of all devices: {', '.join(said)}"
