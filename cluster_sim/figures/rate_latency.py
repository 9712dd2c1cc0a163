"""Latency over the request rate of a sweep.

Variants are drawn over each other, with bands over replications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.rate_axes import RateAxes, axes_over, rate_axis
from cluster_sim.figures.study_table import Choice, Row
from cluster_sim.typing import Array

_METRICS = ("p99_ttft_ms", "p99_tpot_ms")
_MOST_ROWS = 12
_GROWN = 2.0
"""Growth of a latency beyond its value at the lowest rate that the panel's title reports."""


class _SweepColumns(NamedTuple):
    """Columns of a sweep that are drawn."""

    x: str
    """Column of the x axis."""
    axes: RateAxes
    """Axes of the sweep."""

    def described(self, line: Any) -> str:
        """Return the name of a line."""
        lines = self.axes.lines
        return study.described([lines], [line]) if lines else "all points"

    def by_line(self, rows: Sequence[Row]) -> dict[Any, list[Row]]:
        """Return the rows of each line by its value."""
        if self.axes.lines is None:
            return {None: list(rows)}
        return {value: group for (value,), group in study.grouped(rows, [self.axes.lines]).items()}


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw metrics over the rate: one column of panels per metric, one row per further axis value.

    Lines are means over replications. Bands go from the minimum to the maximum over replications.

    Parameters
    ----------
    table
        Table of a sweep.
    choice
        `x`: column of the x axis (default: the rate that varies). It may be a result, such as
        request_throughput; points are then joined in the order of the offered rate. `metrics`:
        columns that are drawn (default: p99_ttft_ms, p99_tpot_ms).
    axes
        Axes to draw on, row by row. Default: a new figure.

    Raises
    ------
    ScenarioError
        No rate varies, the table lacks a column, or there are more than 12 rows of panels.
    """
    rows, metrics = study.points(table), choice.metrics or _METRICS
    study.require_numbers(table, metrics, "rate_latency")
    study.require(table, [choice.x] if choice.x else [], "rate_latency")
    columns = _columns(rows, choice)
    facets = study.grouped(rows, columns.axes.rest)
    if len(facets) > _MOST_ROWS:
        raise ScenarioError.at(
            "rate_latency",
            f"got {len(facets)} rows of panels; expected at most {_MOST_ROWS}. Narrow {', '.join(columns.axes.rest)} by --where",
        )
    height_in = 3.4 if len(facets) == 1 else 2.6
    figure, panels = style.blank(
        [height_in] * len(facets), columns=len(metrics), share_x=True, given=axes
    )
    looks = {value: style.look(place) for place, value in enumerate(columns.by_line(rows))}
    for place, (values, group) in enumerate(facets.items()):
        facet = study.described(columns.axes.rest, values)
        for panel, metric in zip(panels[place * len(metrics) :], metrics, strict=False):
            growth = _draw_lines(panel, group, columns, metric, looks)
            title = ": ".join(part for part in (facet, growth) if part)
            style.title(panel, title, width=110 // len(metrics))
            style.label(panel, y=study.label(metric))
    for panel in panels[-len(metrics) :]:
        style.label(panel, x=study.label(columns.x))
    for panel in panels:
        _scale(panel)
    style.shared_legend(next((panel for panel in panels if panel.lines), panels[0]))
    style.headline(panels[0], _finding(rows, metrics, columns.x))
    return figure


def _columns(rows: Sequence[Row], choice: Choice) -> _SweepColumns:
    """Return the columns that are drawn.

    Raises
    ------
    ScenarioError
        No rate varies in the sweep.
    """
    names = study.varied(rows)
    along = choice.x if choice.x in names else rate_axis(rows, names)
    if along is None:
        raise ScenarioError.at(
            "rate_latency",
            f"no rate varies in this sweep; expected --x with one of its axes: {', '.join(names)}",
        )
    others = study.not_varied_with(rows, along, names)
    return _SweepColumns(choice.x or along, axes_over(along, others))


def _draw_lines(
    panel: Axes,
    rows: Sequence[Row],
    columns: _SweepColumns,
    metric: str,
    looks: Mapping[Any, tuple[str, style.Dash]],
) -> str:
    """Draw mean and band of a metric, line by line; return the rates at which latencies double.

    They double against their values at the first point of the line, the lowest rate.
    """
    texts, lowest = [], set()
    for value, group in columns.by_line(rows).items():
        name, (colour, dash) = columns.described(value), looks[value]
        points = _points(group, columns, metric)
        if not len(points):
            texts.append(f"{name}: no request finished")
            continue
        xs, means, least, greatest = points.T
        panel.plot(
            xs,
            means,
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            marker="o",
            markersize=3.0,
            label=style.in_legend(name),
        )
        panel.fill_between(xs, least, greatest, color=colour, alpha=0.2, linewidth=0)
        if metric.endswith("_ms"):
            lowest.add(xs[0])
            texts.append(_growth(name, xs, means, _unit(columns.x)))
    if not lowest:
        return "; ".join(texts)
    is_shared = len(lowest) == 1
    base = f"{study.number(lowest.pop())}{_unit(columns.x)}" if is_shared else "the first point"
    return f"2 x the value at {base}: {', '.join(texts)}"


def _points(rows: Sequence[Row], columns: _SweepColumns, metric: str) -> Array:
    """Return x, and mean, minimum and maximum of a metric over replications (points, 4)."""
    points = []
    for group in study.grouped(rows, [columns.axes.along]).values():
        xs = [row[columns.x] for row in group if row[columns.x] is not None]
        ys = [row[metric] for row in group if None not in (row[metric], row[columns.x])]
        if ys:
            points.append((float(np.mean(xs)), float(np.mean(ys)), min(ys), max(ys)))
    return np.array(points, dtype=float)


def _unit(name: str) -> str:
    """Return the unit of a column as it follows a number: " /s"."""
    unit = study.label(name).rstrip("]").partition(" [")[2].removeprefix("1")
    return f" {unit}" if unit else ""


def _growth(name: str, xs: Array, means: Array, unit: str) -> str:
    """Return a text with the rate up to which a latency has not doubled."""
    last = len(list(takewhile(lambda mean: mean <= _GROWN * means[0], means))) - 1
    if last == len(xs) - 1:
        return f"{name} never"
    return f"{name} beyond {study.number(xs[last])}{unit}"


def _scale(panel: Axes) -> None:
    """Make an axis logarithmic if its highest value is above 5 times its lowest."""
    for axis, side in (("x", 0), ("y", 1)):
        drawn = np.concatenate(
            [np.asarray(line.get_data()[side], dtype=float) for line in panel.lines]
            or [np.zeros(0)]
        )
        if len(drawn) and drawn.min() > 0 and drawn.max() > 5.0 * drawn.min():
            style.logarithmic(panel, axis)


def _finding(rows: Sequence[Row], metrics: Sequence[str], x: str) -> str:
    replications = len({row["replication"] for row in rows})
    bands = ""
    if replications > 1:
        bands = f"; means of {replications} replications, bands from minimum to maximum"
    return f"{' and '.join(map(study.without_unit, metrics))} over {study.without_unit(x)}{bands}"
