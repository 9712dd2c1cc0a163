"""Charts over simulated time; they zoom together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.over_time import time_unit
from cluster_sim.report.charts.chart import TIME, Chart, Limit
from cluster_sim.report.charts.view import View
from cluster_sim.results import energy
from cluster_sim.results.faults import faults_of
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.typing import Array


class _Column(NamedTuple):
    """Quantity of a run over time, with the title and label of its chart."""

    name: str
    label: str
    of: Callable[[Timeline], Array]
    is_share: bool = False


_COLUMNS = (
    _Column("Arrivals", "arrivals [1/s]", lambda line: line.arrival_per_s),
    _Column("Requests waiting", "waiting [requests]", lambda line: line.waiting),
    _Column("Requests running", "running [requests]", lambda line: line.running),
    _Column(
        "KV cache used, fullest replica",
        "KV cache used [%]",
        lambda line: line.kv_fraction_max,
        is_share=True,
    ),
    _Column(
        "Memory bandwidth used",
        "bandwidth used [%]",
        lambda line: line.bandwidth_utilisation,
        is_share=True,
    ),
    _Column(
        "Compute used", "compute used [%]", lambda line: line.compute_utilisation, is_share=True
    ),
)


_CAPACITY = (
    _Column("Replicas ready", "ready [replicas]", lambda line: line.replicas_ready),
    _Column("Replicas on", "on [replicas]", lambda line: line.replicas_on),
)
_MOST_FAULTS = 30
"""Maximum number of faults that a chart marks."""


def over_time_charts(shown: Sequence[View]) -> list[Chart]:
    """Return a chart for each quantity over time, and a chart of power if it is known.

    The numbers of replicas that are ready and on are shown if they change in a run.
    """
    second, unit = time_unit([view.line for view in shown])
    label = f"simulated time [{unit}]"
    charts = [_chart(shown, column, second, label) for column in _COLUMNS]
    return [*charts, *_capacity(shown, second, label), *_power(shown, second, label)]


def _capacity(shown: Sequence[View], second: float, label: str) -> Iterator[Chart]:
    """Yield the charts of replicas that are ready and on, with marks at faults."""
    for column in _CAPACITY:
        values = [column.of(view.line) for view in shown]
        if any(np.ptp(of_run) > 0.0 for of_run in values):
            chart = _chart(shown, column, second, label)
            lowest = [float(np.min(of_run)) for of_run in values]
            texts = [f"{view.label} {low:.3g}" for view, low in zip(shown, lowest, strict=True)]
            title = f"{column.name}, minimum of a bin: {', '.join(texts)}"
            yield replace(chart, title=title, limits=_faults(shown, second))


def _faults(shown: Sequence[View], second: float) -> list[Limit]:
    """Return a mark at each fault of the runs, of the first ones if there are very many."""
    faults = dict.fromkeys(fault for view in shown for fault in faults_of(view.results))
    return [
        Limit("x", fault.at_s / second, f"{fault.what.replace('_', ' ')} {fault.where}")
        for fault in sorted(faults)[:_MOST_FAULTS]
    ]


def _chart(shown: Sequence[View], column: _Column, second: float, label: str) -> Chart:
    texts, drawn = [], []
    for view in shown:
        values = column.of(view.line)
        highest = float(np.max(values))
        text = style.percent(min(highest, 1.0)) if column.is_share else f"{highest:.3g}"
        texts.append(f"{view.label} {text}")
        scale = 100.0 if column.is_share else 1.0
        drawn.append(view.series(scale * values, "steps", x=view.bins(second)))
    title = f"{column.name}, maximum of a bin: {', '.join(texts)}"
    return Chart(title, label, column.label, drawn, sync=TIME)


def _power(shown: Sequence[View], second: float, label: str) -> Iterator[Chart]:
    """Yield the chart of power if it is known for some run."""
    drawn, texts = [], []
    for view in shown:
        if nodes := energy.nodes(view.results):
            total = energy.together(nodes)
            line = view.line
            edges_s = np.append(line.time_s - line.bin_s / 2, line.time_s[-1] + line.bin_s / 2)
            so_far_j = np.append(0.0, np.cumsum(total.watts * np.diff(total.time_s)))
            kilowatts = np.diff(np.interp(edges_s, total.time_s, so_far_j)) / line.bin_s / 1e3
            drawn.append(view.series(kilowatts, "steps", x=view.bins(second)))
            texts.append(f"{view.label} {total.energy_j / 3.6e6:.3g} kWh")
    if drawn:
        title = f"Power of the nodes; energy: {', '.join(texts)}"
        yield Chart(title, label, "power [kW]", drawn, sync=TIME)
