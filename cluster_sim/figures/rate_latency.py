"""How latency grows with the rate of a sweep, until the cluster is full: variants overlaid, with
bands over replications.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_METRICS = ("p99_ttft_ms", "p99_tpot_ms")
_MOST_ROWS = 12
_GROWN = 2.0
"""The growth up to which a panel's title says how far the rate may go."""


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """A column of panels for each metric, a row for each combination of the axes besides rate and
    variant.

    Lines are means over replications, bands go from the least to the greatest of them. `choice.x`
    may also be what a run came to, such as request_throughput; the line then follows the rate that
    was offered. Raises ScenarioError where no rate varies, where the table lacks a column, or where
    there are more rows of panels than can be read.
    """
    rows, metrics = study.points(table), choice.metrics or _METRICS
    study.wanted(table, [*metrics, *([choice.x] if choice.x else [])], "rate_latency")
    names = study.varied(rows)
    along = choice.x if choice.x in names else rate_axis(rows, names)
    others = [name for name in names if name != along]
    lines = next((name for name in others if name == "variant"), others[0] if others else None)
    rest = [name for name in others if name != lines]
    facets = study.grouped(rows, rest)
    if len(facets) > _MOST_ROWS:
        raise ScenarioError.at(
            "rate_latency",
            f"{len(facets)} rows of panels; wanted {_MOST_ROWS} at most: narrow {', '.join(rest)} by --where",
        )
    figure, panels = style.blank(
        [3.4 if len(facets) == 1 else 2.6] * len(facets),
        columns=len(metrics),
        share_x=True,
        given=axes,
    )
    looks = {
        value: style.look(place)
        for place, value in enumerate(
            study.values([row[lines] for row in rows]) if lines else [None]
        )
    }
    for place, (values, mine) in enumerate(facets.items()):
        for column, metric in enumerate(metrics):
            panel = panels[place * len(metrics) + column]
            grown = []
            for (value,), line in (
                study.grouped(mine, [lines]).items() if lines else {(None,): mine}.items()
            ):
                name = study.said([lines], [value]) if lines else "all points"
                grown.append(
                    _line(panel, line, (along, choice.x or along, metric), name, looks[value])
                )
            parts = [study.said(rest, values), "; ".join(one for one in grown if one)]
            style.title(panel, ": ".join(part for part in parts if part), width=110 // len(metrics))
            style.label(
                panel,
                x=study.label(choice.x or along) if place == len(facets) - 1 else None,
                y=study.label(metric),
            )
    for panel in panels:
        _scale(panel)
    style.shared_legend(next((panel for panel in panels if panel.lines), panels[0]))
    style.headline(figure, _finding(rows, metrics, choice.x or along))
    return figure


def rate_axis(rows: Sequence[Row], axes: Sequence[str]) -> str:
    """The axis that says how much traffic comes. Raises ScenarioError where none varies."""
    for ending in ("rate_per_s", "speedup", "concurrency"):
        for name in axes:
            if name.endswith(ending) and study.numeric(rows, name):
                return name
    raise ScenarioError.at(
        "rate_latency",
        f"no rate varies in this sweep; wanted --x with one of its axes: {', '.join(axes)}",
    )


def _line(
    panel: Axes,
    rows: Sequence[Row],
    columns: tuple[str, str, str],
    name: str,
    look: tuple[str, style.Dash],
) -> str:
    """Draw mean and band of a metric over x, point by point along the axis; returns where a latency
    has doubled.
    """
    along, x, metric = columns
    points = []
    for mine in study.grouped(rows, [along]).values():
        ys = [row[metric] for row in mine if row[metric] is not None and row[x] is not None]
        if ys:
            points.append(
                (
                    float(np.mean([row[x] for row in mine if row[x] is not None])),
                    float(np.mean(ys)),
                    min(ys),
                    max(ys),
                )
            )
    if not points:
        return f"{name}: nothing finished"
    xs, means, least, greatest = np.array(points, dtype=float).T
    colour, dash = look
    panel.plot(
        xs,
        means,
        color=colour,
        linestyle=dash,
        linewidth=1.8,
        marker="o",
        markersize=3.0,
        label=name,
    )
    panel.fill_between(xs, least, greatest, color=colour, alpha=0.2, linewidth=0)
    last = len(list(takewhile(lambda mean: mean <= _GROWN * means[0], means))) - 1
    if not metric.endswith("_ms"):
        return ""
    return (
        f"{name} never doubles"
        if last == len(xs) - 1
        else f"{name} doubles beyond {study.number(xs[last])}"
    )


def _scale(panel: Axes) -> None:
    """Logarithmic where the greatest is many times the least."""
    for axis, side in (("x", 0), ("y", 1)):
        drawn = np.concatenate(
            [np.asarray(line.get_data()[side], dtype=float) for line in panel.lines]
            or [np.zeros(0)]
        )
        if len(drawn) and drawn.min() > 0 and drawn.max() > 5.0 * drawn.min():
            style.logarithmic(panel, axis)


def _finding(rows: Sequence[Row], metrics: Sequence[str], x: str) -> str:
    replications = len({row["replication"] for row in rows})
    bands = (
        f"; means of {replications} replications, bands from the least to the greatest"
        if replications > 1
        else ""
    )
    what = " and ".join(study.label(name).partition(" [")[0] for name in metrics)
    return f"{what} against {study.label(x).partition(' [')[0]}{bands}"
