"""A metric over two axes of a sweep, as colours and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row
from cluster_sim.typing import Array

_METRIC = "p99_ttft_ms"
_MOST_PANELS = 12
_MOST_NUMBERS = 16
"""Number of columns of cells beyond which their numbers would not fit."""


class _Axis(NamedTuple):
    """One axis of the heatmap."""

    column: str
    values: list[object]


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw a heatmap; one panel for each combination of the axes that are not drawn.

    A cell is the mean over replications. It is grey if no replication has a value.

    Parameters
    ----------
    table
        Table of a sweep.
    choice
        `x`, `y`: columns of the two axes (default: the axes with most values); first of `metrics`:
        column of the cells (default: p99_ttft_ms).
    axes
        Axes to draw on, one per panel. Default: a new figure.

    Raises
    ------
    ScenarioError
        Fewer than two axes vary, the table lacks a column, or there are more than 12 panels.
    """
    rows, metric = study.points(table), (choice.metrics or (_METRIC,))[0]
    study.require_numbers(table, [metric], "heatmap")
    x, y = (_Axis(name, study.distinct([row[name] for row in rows])) for name in _two(rows, choice))
    rest = [name for name in study.varied(rows) if name not in (x.column, y.column)]
    facets = study.grouped(rows, rest)
    if len(facets) > _MOST_PANELS:
        raise ScenarioError.at(
            "heatmap",
            f"got {len(facets)} panels; expected at most {_MOST_PANELS}. Narrow {', '.join(rest)} by --where",
        )
    cells = {values: _means(group, x, y, metric) for values, group in facets.items()}
    known = np.concatenate([means[~np.isnan(means)] for means in cells.values()])
    if not len(known):
        raise ScenarioError.at("heatmap", f"no point has a number for {metric}")
    columns = 1 if len(facets) == 1 or len(x.values) > 8 else 2
    height_in = max(1.0 + 0.34 * len(y.values), 2.2)
    figure, panels = style.blank(
        [height_in] * -(-len(facets) // columns), columns=columns, given=axes
    )
    for panel in panels[len(facets) :]:
        panel.set_visible(False)
    norm = _norm(known)
    for panel, (values, means) in zip(panels, cells.items(), strict=False):
        _draw_cells(panel, means, norm)
        panel.set_xticks(range(len(x.values)), [_tick(value) for value in x.values])
        panel.set_yticks(range(len(y.values)), [_tick(value) for value in y.values])
        style.title(panel, study.described(rest, values), width=110 // columns)
        style.label(panel, y=study.label(y.column))
    for panel in panels[max(len(facets) - columns, 0) : len(facets)]:
        style.label(panel, x=study.label(x.column))
    bar = figure.colorbar(panels[0].images[0], ax=panels[: len(facets)], fraction=0.03)
    bar.ax.tick_params(labelsize=8)
    style.label(bar.ax, y=study.label(metric))
    replications = len({row["replication"] for row in rows})
    among = f", means of {replications} replications" if replications > 1 else ""
    ends = f"from {study.number(known.min())} to {study.number(known.max())}"
    over = f"over {study.without_unit(x.column)} and {study.without_unit(y.column)}"
    style.headline(panels[0], f"{study.label(metric)} {ends} {over}{among}")
    return figure


def _tick(value: object) -> str:
    return study.number(value) if isinstance(value, (int, float)) else str(value)


def _two(rows: Sequence[Row], choice: Choice) -> tuple[str, str]:
    """Return the columns of the x axis and of the y axis.

    Raises
    ------
    ScenarioError
        Fewer than two axes of the sweep vary.
    """
    axes = study.varied(rows)
    for asked in (choice.x, choice.y):
        if asked is not None and asked not in axes:
            raise ScenarioError.at(
                "heatmap",
                f"got '{asked}', which is no axis that varies; expected one of {', '.join(axes)}",
            )
    free = sorted(
        (name for name in axes if name not in (choice.x, choice.y)),
        key=lambda name: -len({row[name] for row in rows}),
    )
    x, y = choice.x or next(iter(free), None), choice.y
    y = y or next((name for name in free if name != x), None)
    if x is None or y is None or x == y:
        raise ScenarioError.at(
            "heatmap",
            f"got a sweep in which {', '.join(axes) or 'no axis'} varies; expected two axes that vary",
        )
    return x, y


def _means(rows: Sequence[Row], x: _Axis, y: _Axis, metric: str) -> Array:
    """Return means over replications (ys, xs); NaN where no replication has a number."""
    means = np.full((len(y.values), len(x.values)), np.nan)
    for (of_x, of_y), group in study.grouped(rows, [x.column, y.column]).items():
        if numbers := [row[metric] for row in group if row[metric] is not None]:
            means[y.values.index(of_y), x.values.index(of_x)] = np.mean(numbers)
    return means


def _norm(known: Array) -> Normalize:
    """Return a scale of colours, logarithmic if the highest value is above 10 times the lowest."""
    low, high = float(known.min()), float(known.max())
    return LogNorm(low, high) if low > 0 and high > 10.0 * low else Normalize(low, high)


def _draw_cells(panel: Axes, means: Array, norm: Normalize) -> None:
    panel.set_facecolor("#bbbbbb")
    panel.grid(visible=False)
    panel.imshow(
        means, aspect="auto", origin="lower", cmap="cividis", norm=norm, interpolation="none"
    )
    if means.shape[1] > _MOST_NUMBERS:
        return
    for (row, column), value in np.ndenumerate(means):
        if not np.isnan(value):
            panel.text(
                column,
                row,
                study.number(value),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if float(norm(value)) < 0.5 else "black",
            )
