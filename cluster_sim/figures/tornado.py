"""How far an outcome moves with each uncertain figure of the catalog: the widest bar on top."""

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
    """Return one row per figure of a one-at-a-time sensitivity, the widest swings at the top.

    A bar goes from the outcome at the base to that with the figure at either end of its range; an
    end that the figure cannot reach has none. `choice` has no say.

    Raises
    ------
    ScenarioError
        The table is not of a sensitivity, or nothing moves the outcome.
    """
    study.require(
        table, ("name", "low", "high", "metric", "base", "at_low", "at_high", "swing"), "tornado"
    )
    rows = sorted(table.to_pylist(), key=lambda row: -row["swing"])
    if not rows:
        raise ScenarioError.at("tornado", "no figure moves the outcome")
    shown, base, metric = rows[:_MOST_BARS], rows[0]["base"], rows[0]["metric"]
    figure, (panel,) = style.blank([1.4 + 0.28 * len(shown)], given=axes)
    # beside one another: both may lie on one side
    _draw_ends(panel, shown, "low", -0.18)
    _draw_ends(panel, shown, "high", 0.18)
    panel.axvline(base, color="black", linewidth=1.0)
    panel.set_yticks(range(len(shown)), [_tick(row) for row in shown])
    panel.set_ylim(len(shown) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
    style.label(panel, x=study.label(metric))
    rest = f"; {len(rows) - len(shown)} more move it less" if len(rows) > len(shown) else ""
    style.title(panel, f"one figure at a time, the others as in the catalog{rest}")
    style.shared_legend(panel)
    swing = f", which moves it by {100 * rows[0]['swing'] / abs(base):.3g} %" if base else ""
    style.headline(
        panel, f"{study.amount(metric, base)}; it hangs most on {rows[0]['name']}{swing}"
    )
    return figure


def _draw_ends(panel: Axes, rows: Sequence[Row], end: str, aside: float) -> None:
    """Draw bars from the base to the outcomes at one end of the ranges: low or high."""
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
