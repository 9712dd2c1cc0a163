"""An outcome over two axes of a sweep, as colours and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_METRIC = "p99_ttft_ms"
_MOST_PANELS = 12
_MOST_NUMBERS = 16
"""Columns of cells beyond which their numbers would not fit."""


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """A panel for each combination of the axes that are not drawn; a cell is the mean over
    replications, grey where none is known.

    Axes are those of the sweep with the most values, unless `choice` names them; of its metrics the
    first counts. Raises ScenarioError where fewer than two axes vary, where the table lacks a
    column, or where there are more panels than can be read.
    """
    rows, metric = study.points(table), (choice.metrics or (_METRIC,))[0]
    study.wanted(table, [metric], "heatmap")
    x, y = _two(rows, choice)
    rest = [name for name in study.varied(rows) if name not in (x, y)]
    facets = study.grouped(rows, rest)
    if len(facets) > _MOST_PANELS:
        raise ScenarioError.at(
            "heatmap",
            f"{len(facets)} panels; wanted {_MOST_PANELS} at most: narrow {', '.join(rest)} by --where",
        )
    xs, ys = (study.values([row[name] for row in rows]) for name in (x, y))
    cells = {values: _means(mine, (x, y, metric), xs, ys) for values, mine in facets.items()}
    known = np.concatenate([one[~np.isnan(one)] for one in cells.values()])
    if not len(known):
        raise ScenarioError.at("heatmap", f"no point has a number for {metric}")
    norm = _norm(known)
    columns = 1 if len(facets) == 1 or len(xs) > 8 else 2
    figure, panels = style.blank(
        [max(1.0 + 0.34 * len(ys), 2.2)] * -(-len(facets) // columns), columns=columns, given=axes
    )
    for panel in panels[len(facets) :]:
        panel.set_visible(False)
    for place, (panel, (values, means)) in enumerate(zip(panels, cells.items(), strict=False)):
        _cells(panel, means, norm)
        panel.set_xticks(range(len(xs)), [_tick(value) for value in xs])
        panel.set_yticks(range(len(ys)), [_tick(value) for value in ys])
        style.title(panel, study.said(rest, values), width=110 // columns)
        style.label(
            panel, x=study.label(x) if place >= len(facets) - columns else None, y=study.label(y)
        )
    bar = figure.colorbar(panels[0].images[0], ax=panels[: len(facets)], fraction=0.03)
    bar.ax.tick_params(labelsize=8)
    style.label(bar.ax, y=study.label(metric))
    replications = len({row["replication"] for row in rows})
    among = f", means of {replications} replications" if replications > 1 else ""
    style.headline(
        figure,
        f"{study.label(metric)} from {study.number(known.min())} to {study.number(known.max())} over {_name(x)} and {_name(y)}{among}",
    )
    return figure


def _name(column: str) -> str:
    return study.label(column).partition(" [")[0]


def _tick(value: object) -> str:
    return study.number(value) if isinstance(value, (int, float)) else str(value)


def _two(rows: Sequence[Row], choice: Choice) -> tuple[str, str]:
    axes = study.varied(rows)
    for asked in (choice.x, choice.y):
        if asked is not None and asked not in axes:
            raise ScenarioError.at(
                "heatmap", f"'{asked}' is no axis that varies; wanted one of {', '.join(axes)}"
            )
    free = sorted(
        (name for name in axes if name not in (choice.x, choice.y)),
        key=lambda name: -len({row[name] for row in rows}),
    )
    x, y = choice.x or next(iter(free), None), choice.y
    y = y or next((name for name in free if name != x), None)
    if x is None or y is None or x == y:
        raise ScenarioError.at(
            "heatmap", f"wanted two axes that vary; this sweep has {', '.join(axes) or 'none'}"
        )
    return x, y


def _means(
    rows: Sequence[Row], columns: tuple[str, str, str], xs: Sequence[object], ys: Sequence[object]
) -> np.ndarray:
    """(ys, xs); NaN where no replication has a number."""
    x, y, metric = columns
    means = np.full((len(ys), len(xs)), np.nan)
    for (of_x, of_y), mine in study.grouped(rows, [x, y]).items():
        if numbers := [row[metric] for row in mine if row[metric] is not None]:
            means[ys.index(of_y), xs.index(of_x)] = np.mean(numbers)
    return means


def _norm(known: np.ndarray) -> Normalize:
    """By magnitude where the greatest is many times the least."""
    low, high = float(known.min()), float(known.max())
    return LogNorm(low, high) if low > 0 and high > 10.0 * low else Normalize(low, high)


def _cells(panel: Axes, means: np.ndarray, norm: Normalize) -> None:
    panel.set_facecolor("#bbbbbb")
    panel.grid(False)
    panel.imshow(
        means, aspect="auto", origin="lower", cmap="cividis", norm=norm, interpolation="none"
    )
    if means.shape[1] <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(means):
            if not np.isnan(value):
                dark = float(norm(value)) < 0.5
                panel.text(
                    column,
                    row,
                    study.number(value),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
