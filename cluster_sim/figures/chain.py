"""Chain of heat: arrivals, memory bus, power, temperature, clock and latency of each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cluster_sim.figures import style
from cluster_sim.figures.chain_column import GHOST, Column
from cluster_sim.figures.chain_courses import Latency, chain, without_heat
from cluster_sim.figures.chain_marks import FULL_CLOCK, mark, mark_of_fall
from cluster_sim.figures.chain_text import bus_text, machines, sentence, watts
from cluster_sim.figures.over_time import lay_time_axis, unit_up_to
from cluster_sim.figures.sheet import WIDTH_IN, sheet_in_use
from cluster_sim.results.results import Results

_HEIGHTS_IN = (1.35, 1.15, 1.15, 1.4, 1.15, 1.65)
_TEMPERATURE, _CLOCK, _LATENCY = 3, 4, 5
_BURST = "#F6E7C1"
_MAIN, _SECOND = style.COLOURS[0], style.COLOURS[1]
_GHOST = "same requests without throttling"
_NO_GHOST = "no run without heat: cluster-sim run FILE --attribute makes it"
_LOGARITHMIC_FROM = 400.0
"""Highest latency from which its axis is logarithmic [% of the limit]."""


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure: six rows of panels over one time axis, one column per run."""
    return style.blank(_HEIGHTS_IN, columns=len(results), share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw one column per run, from the arrivals to the latencies.

    Rows of a device show the hottest device. Values are in per cent of the limit of their row. Grey
    lines are the same requests without heat.
    """
    shown = style.variants(results)
    last_s = max(run.info.simulated_s for run in results) or 1.0
    unit = unit_up_to(last_s)
    note = "; times with + count from the start of the burst" if len(shown) < 3 else ""
    columns = []
    for place, variant in enumerate(shown):
        courses = chain(variant.results)
        ghost = without_heat(variant.results, courses)
        column = Column(variant, courses, ghost, axes[place :: len(shown)], unit.second, len(shown))
        _draw_column(column)
        style.label(column.panels[-1], x=f"simulated time [{unit.name}]{note}")
        columns.append(column)
    _share_axes(columns)
    lay_time_axis([columns[0].panels[-1]], last_s, unit.second)
    texts = [sentence(column.variant.label, column.chain, column.ghost) for column in columns]
    style.headline(axes[0], " ".join(texts))
    _draw_legend(columns)


def _draw_column(column: Column) -> None:
    """Draw all rows of one run."""
    burst = column.chain.burst
    if burst is not None:
        for panel in column.panels:
            ends = (burst.from_s / column.second, burst.until_s / column.second)
            panel.axvspan(*ends, color=_BURST, zorder=0, linewidth=0.0)
    _draw_arrivals(column)
    _draw_bus(column)
    _draw_power(column)
    _draw_temperature(column)
    _draw_clock(column)
    _draw_latency(column)


def _draw_arrivals(column: Column) -> None:
    column.line(0, column.chain.arrivals, None, color="#555555", drawstyle="steps-mid")
    run, panel = column.variant.results, column.panels[0]
    column.caption(0, "", "1/s")
    text = f"{machines(run)}\nArrivals: {len(run.requests):,} requests"
    panel.set_title(text, fontsize=9, loc="left")
    panel.annotate(
        column.variant.label,
        (0.0, 1.0),
        xycoords="axes fraction",
        xytext=(0.0, 29.0),
        textcoords="offset points",
        fontsize=10,
        fontweight="bold",
    )


def _draw_bus(column: Column) -> None:
    bus, ghost = column.chain.bus, column.ghost
    column.line(1, bus, None if ghost is None else ghost.bus, color=_MAIN)
    column.point(1, mark(bus, column.chain.burst), _MAIN)
    column.limit(1)
    column.caption(1, f"Memory bus: {bus_text(column.chain)}")


def _draw_power(column: Column) -> None:
    power, ghost, hot = column.chain.power, column.ghost, column.chain.hottest
    column.line(2, power, None if ghost is None else ghost.power, color=_MAIN)
    text = "Power of the hottest device"
    if power is not None and hot is not None:
        column.point(2, mark(power, column.chain.burst), _MAIN)
        column.limit(2)
        most_w = float(np.max(hot.power_w))
        limit_w = 100 * most_w / power.highest if power.highest else most_w
        text = f"Power of the hottest device: up to {watts(most_w, limit_w)}"
    column.caption(2, text)


def _draw_temperature(column: Column) -> None:
    courses, ghost, hot = column.chain, column.ghost, column.chain.hottest
    parts = []
    for name, course, colour in (("die", courses.die, _MAIN), ("HBM", courses.memory, _SECOND)):
        if course is None or hot is None or not course.highest:
            continue
        values = hot.die_c if name == "die" else hot.memory_c
        other = ghost.die if ghost is not None and name == "die" else None
        column.line(_TEMPERATURE, course, other, color=colour, label=name)
        column.point(_TEMPERATURE, mark(course, courses.burst) if name == "die" else None, colour)
        highest_c = float(np.nanmax(values))
        parts.append(f"{name} {highest_c:.0f} °C (limit {100 * highest_c / course.highest:.0f} °C)")
    if parts:
        column.limit(_TEMPERATURE)
    column.caption(_TEMPERATURE, f"Hottest: {', '.join(parts)}" if parts else "Temperature")


def _draw_clock(column: Column) -> None:
    clock, ghost = column.chain.clock, column.ghost
    column.line(_CLOCK, clock, None if ghost is None else ghost.clock, color=_MAIN)
    text = "Clock"
    if clock is not None:
        column.point(_CLOCK, mark_of_fall(clock, column.chain.burst), _MAIN)
        is_full = clock.lowest >= FULL_CLOCK
        text = "Clock: full all the time" if is_full else f"Clock: as low as {clock.lowest:.0f} %"
    column.caption(_CLOCK, text, "% of full")


def _draw_latency(column: Column) -> None:
    """Draw p99 of TTFT and TPOT."""
    burst, texts = column.chain.burst, []
    for name, colour in (("TTFT", _SECOND), ("TPOT", _MAIN)):
        latency: Latency | None = getattr(column.chain, name.lower())
        ghost: Latency | None = getattr(column.ghost, name.lower(), None)
        if latency is not None:
            other = None if ghost is None else ghost.relative_to(latency.limit_s)
            column.line(_LATENCY, latency.course, other, color=colour, label=name)
            found = mark(latency.course, burst)
            if found is not None and found.is_limit:
                column.point(_LATENCY, found, colour, what=f"{name} ")
            texts.append(f"{name} {latency.text}")
    column.caption(_LATENCY, f"p99: {', '.join(texts)}" if texts else "p99 of TTFT and TPOT")
    if texts:
        column.limit(_LATENCY)
    else:
        style.nothing(column.panels[_LATENCY], "no request finished")


def _share_axes(columns: Sequence[Column]) -> None:
    """Give the panels of each row one scale, so that the runs can be compared."""
    for row in range(len(_HEIGHTS_IN)):
        panels = [column.panels[row] for column in columns]
        bottom = min(panel.dataLim.y0 for panel in panels)
        top = max(max(panel.dataLim.y1 for panel in panels), 1e-9 if row == 0 else 100.0)
        for panel in panels:
            if row == _LATENCY and np.isfinite(top) and top > _LOGARITHMIC_FROM:
                panel.set_ylim(10.0, 2.0 * top)
                style.logarithmic(panel, "y")
            elif row == _CLOCK:
                panel.set_ylim(min(10.0 * np.floor(min(bottom, 100.0) / 10 - 0.5), 80.0), 104.0)
            elif row == _TEMPERATURE and np.isfinite(bottom):  # with space for the legend
                low = 10.0 * np.floor(min(bottom, 90.0) / 10)
                panel.set_ylim(low, low + 1.4 * (top - low))
            else:
                space = 1.45 if row == _LATENCY else 1.2
                panel.set_ylim(0.0, space * (top if np.isfinite(top) else 100.0))


def _draw_legend(columns: Sequence[Column]) -> None:
    """Draw the names of lines in their panels, and one legend for all panels below them."""
    for row in (_TEMPERATURE, _LATENCY):
        for column in columns:
            if len(column.panels[row].get_legend_handles_labels()[1]) > 1:
                column.panels[row].legend(
                    loc="upper left",
                    fontsize=8,
                    ncols=2,
                    handlelength=1.2,
                    columnspacing=0.8,
                    borderpad=0.25,
                )
    has_ghost = any(column.ghost is not None for column in columns)
    point: dict[str, Any] = {"color": _MAIN, "linestyle": "", "marker": "o", "markersize": 5.5}
    handles = {
        "burst": Patch(color=_BURST),
        "limit or objective": Line2D([], [], color=style.LIMIT),
        _GHOST if has_ghost else _NO_GHOST: Line2D([], [], color=GHOST),
        "limit reached": Line2D([], [], **point),
        "90 % of its rise, or first fall of the clock": Line2D(
            [], [], **point, markerfacecolor="white"
        ),
    }
    if (figure := columns[0].panels[0].get_figure(root=True)) is not None:
        figure.legend(
            [*handles.values()],
            [*handles],
            loc="outside lower center",
            ncols=len(handles) if has_ghost and sheet_in_use().wide_in >= WIDTH_IN else 3,
            fontsize=8.5,
            frameon=False,
            handlelength=1.6,
            columnspacing=1.4,
        )
