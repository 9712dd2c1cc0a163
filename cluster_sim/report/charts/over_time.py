"""Charts over simulated time; they zoom together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cluster_sim.figures import style
from cluster_sim.figures.over_time import time_unit
from cluster_sim.report.charts.chart import TIME, Chart
from cluster_sim.report.charts.view import View
from cluster_sim.results import energy
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


def over_time_charts(shown: Sequence[View]) -> list[Chart]:
    """Return a chart for each quantity over time, and a chart of power if it is known."""
    second, unit = time_unit([view.line for view in shown])
    label = f"simulated time [{unit}]"
    charts = [_chart(shown, column, second, label) for column in _COLUMNS]
    return charts + list(_power(shown, second, label))


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
