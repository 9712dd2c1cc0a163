"""Effects of heat: temperature, clock and power of each run's hottest device, queue and TTFT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import (
    draw_waiting,
    end_s,
    lay_time_axis,
    mark_warmup,
    rolling,
    time_unit,
    window_s,
)
from cluster_sim.figures.style import Variant
from cluster_sim.hardware.device import Device
from cluster_sim.results import metrics
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_NOTHING = "temperatures are not simulated: the scenario has no site.inlet"


@dataclass(frozen=True)
class Hottest:
    """History of the device of a run that comes nearest to its temperature limit, in bins.

    Devices without a replica do not count. If no device has limits, it is the hottest device.
    """

    name: str
    """Name of the device."""
    device: Device
    """Description of the device."""
    at_s: Array
    """Ends of the bins [s]."""
    die_c: Array
    """Highest temperature of the die in each bin [degC]."""
    memory_c: Array
    """Highest temperature of the memory in each bin [degC]."""
    power_w: Array
    """Mean power in each bin [W]."""
    clock: Array
    """Lowest clock in each bin, as a share of the clock of a cool device."""


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and five panels over one time axis."""
    return style.blank([1.9, 1.2, 1.2, 1.2, 1.5], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw temperature, clock and power of each run's hottest device, waiting requests and TTFT.

    Per bin of simulated time, temperature is the highest, clock the lowest and power the mean. TTFT
    is p99 of the requests that arrive around each time.
    """
    shown = style.variants(results)
    lines = metrics.timelines(results)
    devices = [hottest(run) for run in results]
    second, unit = time_unit(lines)
    mark_warmup(axes, shown, second)
    _draw_devices(axes[:3], shown, devices, second)
    _draw_queue(axes[3], shown, lines, second)
    _draw_ttft(axes[4], shown, second)
    style.label(axes[-1], x=f"simulated time [{unit}]")
    lay_time_axis(axes, end_s(lines), second)
    style.shared_legend(axes[3])
    style.headline(
        axes[0], f"Share of device time throttled by heat: {style.listed(shown, _throttled)}"
    )


def hottest(results: Results, device: str | None = None) -> Hottest | None:
    """Return the hottest device of a run; None if temperatures were not simulated.

    Parameters
    ----------
    results
        Run.
    device
        Name of a device of the table of temperatures that is returned instead, if it is there.
    """
    table = results.thermal
    if not table.num_rows:
        return None
    names = table["device"].to_numpy()
    devices = {pool.name: pool.node.device for pool in results.scenario.cluster.pools}

    def over_k(name: str) -> float:
        limits = devices[name.partition("/")[0]].limits
        highest_c = float(np.max(table["die_c"].to_numpy()[names == name]))
        return highest_c - limits.operating_c if limits is not None else highest_c - 1000.0

    known = dict.fromkeys(names.tolist())
    serving = [name for name in results.devices["device"].to_pylist() if name in known]
    name = device if device is not None and device in known else max(serving or known, key=over_k)
    columns = (
        table[column].to_numpy()[names == name]
        for column in ("at_s", "die_c", "memory_c", "power_w", "clock")
    )
    return Hottest(name, devices[name.partition("/")[0]], *columns)


def _draw_devices(
    panels: Sequence[Axes],
    shown: Sequence[Variant],
    devices: Sequence[Hottest | None],
    second: float,
) -> None:
    """Draw temperature, clock and power of each run's hottest device."""
    temperature, clock, power = panels
    for variant, device in zip(shown, devices, strict=True):
        if device is not None:
            at = device.at_s / second
            variant.line(temperature, at, device.die_c, linewidth=1.3, label=variant.label)
            steps = {"linewidth": 1.3, "drawstyle": "steps-pre"}
            variant.line(clock, at, 100 * device.clock, **steps)
            variant.line(power, at, device.power_w, **steps)
    _draw_limits(temperature, [device for device in devices if device is not None])
    labels = ("die\n[°C]", "clock\n[% of full]", "power\n[W]")
    for panel, label in zip(panels, labels, strict=True):
        style.label(panel, y=label)
        if all(device is None for device in devices):
            style.nothing(panel, _NOTHING)
    clock.set_ylim(top=103.0)
    power.set_ylim(bottom=0.0)
    titles = (
        ("Hottest device, highest die temperature", _temperature),
        ("Lowest clock of the hottest device", _clock),
        ("Mean power of the hottest device", _watts),
    )
    for panel, (lead, text) in zip(panels, titles, strict=True):
        style.title(panel, f"{lead}: {_each(shown, devices, text)}")


def _each(
    shown: Sequence[Variant], devices: Sequence[Hottest | None], text: Callable[[Hottest], str]
) -> str:
    """Return a text about the hottest device of each run."""
    return ", ".join(
        f"{variant.label} {'not known' if device is None else text(device)}"
        for variant, device in zip(shown, devices, strict=True)
    )


def _draw_limits(panel: Axes, devices: Sequence[Hottest]) -> None:
    """Draw the temperatures at which clocks begin to fall and are halved, if they are near."""
    limits_of = [limits for device in devices if (limits := device.device.limits) is not None]
    lines = {(limits.operating_c, "clock falls") for limits in limits_of}
    lines |= {(limits.slowdown_c, "clock halved") for limits in limits_of}
    highest_c = max((float(np.max(device.die_c)) for device in devices), default=0.0)
    for limit_c, text in sorted(lines):
        if limit_c < highest_c + 12.0:
            is_first = text == "clock falls"
            dash = "-" if is_first else ":"
            panel.axhline(limit_c, color=style.LIMIT, linewidth=1.0, linestyle=dash)
            panel.annotate(
                f"{text} {limit_c:.0f} °C",
                (1.0, limit_c),
                xycoords=panel.get_yaxis_transform(),
                xytext=(0.0, -2.0 if is_first else 1.5),
                textcoords="offset points",
                ha="right",
                va="top" if is_first else "bottom",
                fontsize=8,
                color=style.LIMIT,
            )


def _draw_queue(
    panel: Axes, shown: Sequence[Variant], lines: Sequence[Timeline], second: float
) -> None:
    draw_waiting(panel, shown, lines, second)
    most = ", ".join(
        f"{variant.label} {float(np.max(line.waiting)):.3g}"
        for variant, line in zip(shown, lines, strict=True)
    )
    style.title(panel, f"Requests waiting, maximum of a bin: {most}")
    style.label(panel, y="waiting\n[requests]")


def _draw_ttft(panel: Axes, shown: Sequence[Variant], second: float) -> None:
    done = [metrics.finished(variant.results) for variant in shown]
    width_s = window_s(done)
    scale, of = style.latency_unit(*(columns.ttft_s for columns in done))
    texts = []
    for variant, columns in zip(shown, done, strict=True):
        if len(columns.ttft_s):
            at_s, _, p99_s = rolling(columns.arrival_s, columns.ttft_s, width_s)
            variant.line(panel, at_s / second, scale * p99_s, linewidth=1.3)
            p99 = style.duration(float(np.percentile(columns.ttft_s, 99)))
            texts.append(f"{variant.label} {p99}")
    style.label(panel, y=f"TTFT p99\n[{of}]")
    if not texts:
        style.nothing(panel, "no request finished")
        style.title(panel, "TTFT p99: no request finished")
        return
    panel.set_ylim(bottom=0.0)
    style.title(
        panel,
        f"TTFT p99 of requests that arrive within windows of {style.duration(width_s)}; "
        f"of all requests: {', '.join(texts)}",
    )


def _temperature(device: Hottest) -> str:
    return f"{device.name} {float(np.max(device.die_c)):.1f} °C"


def _clock(device: Hottest) -> str:
    return f"{100 * float(np.min(device.clock)):.3g} %"


def _watts(device: Hottest) -> str:
    return f"{float(np.mean(device.power_w)):.0f} W"


def _throttled(variant: Variant) -> str:
    share = variant.results.summary().get("throttled_fraction")
    return "not known" if share is None else style.percent(share)
