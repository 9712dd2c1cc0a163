"""Effect of each uncertain catalog figure on a metric: the largest effect on top."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_MOST_BARS = 20


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw one row per figure of a one-at-a-time sensitivity, the largest effects on top.

    A bar goes from the metric of the base case to the metric with the figure at one end of its
    range. An end that the figure cannot take has no bar.

    Parameters
    ----------
    table
        Table of a one-at-a-time sensitivity.
    choice
        Not used.
    axes
        One axes to draw on. Default: a new figure.

    Raises
    ------
    ScenarioError
        The table is not of a sensitivity, or no figure has an effect.
    """
    study.require(
        table, ("name", "low", "high", "metric", "base", "at_low", "at_high", "swing"), "tornado"
    )
    rows = sorted(table.to_pylist(), key=lambda row: -row["swing"])
    if not rows:
        raise ScenarioError.at("tornado", "no figure has an effect on the metric")
    shown, base, metric = rows[:_MOST_BARS], rows[0]["base"], rows[0]["metric"]
    figure, (panel,) = style.blank([1.4 + 0.28 * len(shown)], given=axes)
    # side by side, since both ends may change the metric in one direction
    _draw_ends(panel, shown, "low", -0.18)
    _draw_ends(panel, shown, "high", 0.18)
    panel.axvline(base, color="black", linewidth=1.0)
    panel.set_yticks(range(len(shown)), [_tick(row) for row in shown])
    panel.set_ylim(len(shown) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
    style.label(panel, x=study.label(metric))
    more = len(rows) - len(shown)
    rest = f"; {more} more figures have smaller effects" if more else ""
    style.title(panel, f"One figure varies at a time, all others as in the catalog{rest}")
    style.shared_legend(panel)
    swing = f", which changes it by {100 * rows[0]['swing'] / abs(base):.3g} %" if base else ""
    style.headline(panel, f"{study.amount(metric, base)}; largest effect: {rows[0]['name']}{swing}")
    return figure


def _draw_ends(panel: Axes, rows: Sequence[Row], end: str, aside: float) -> None:
    """Draw bars from the base case to the metric at one end of the ranges: low or high."""
    base = rows[0]["base"]
    outcomes = ((place, row[f"at_{end}"]) for place, row in enumerate(rows))
    reached = [(place, value) for place, value in outcomes if value is not None and value == value]
    panel.barh(
        [place + aside for place, _ in reached],
        [value - base for _, value in reached],
        left=base,
        height=0.36,
        color=style.COLOURS[0 if end == "low" else 1],
        label=f"at the {end} end of its range",
    )


def _tick(row: Row) -> str:
    name = shorten(row["name"], 64, placeholder=" …")
    return f"{name}  {row['low']} … {row['high']}"
