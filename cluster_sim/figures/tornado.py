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
from cluster_sim.figures.study_table import Choice

_MOST_BARS = 20


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """One row a figure of the table of a one-at-a-time sensitivity, the widest swings at the top;
    `choice` has no say.

    A bar goes from the outcome at the base to that with the figure at either end of its range; an
    end that the figure cannot reach has none. Raises ScenarioError for another table, or where
    nothing moves the outcome.
    """
    study.wanted(
        table, ("name", "low", "high", "metric", "base", "at_low", "at_high", "swing"), "tornado"
    )
    rows = sorted(table.to_pylist(), key=lambda row: -row["swing"])
    if not rows:
        raise ScenarioError.at("tornado", "no figure moves the outcome")
    shown, base, metric = rows[:_MOST_BARS], rows[0]["base"], rows[0]["metric"]
    figure, (panel,) = style.blank([1.4 + 0.28 * len(shown)], given=axes)
    for end, colour, aside in (
        ("low", style.COLOURS[0], -0.18),
        ("high", style.COLOURS[1], 0.18),
    ):  # beside one another: both may lie on one side
        reached = [
            (place, row[f"at_{end}"])
            for place, row in enumerate(shown)
            if row[f"at_{end}"] is not None and row[f"at_{end}"] == row[f"at_{end}"]
        ]
        places, widths = (
            [place + aside for place, _ in reached],
            [value - base for _, value in reached],
        )
        panel.barh(
            places,
            widths,
            left=base,
            height=0.36,
            color=colour,
            label=f"at the {end} end of its range",
        )
    panel.axvline(base, color="black", linewidth=1.0)
    panel.set_yticks(
        range(len(shown)),
        [
            f"{shorten(row['name'], 64, placeholder=' …')}  {row['low']} … {row['high']}"
            for row in shown
        ],
    )
    panel.set_ylim(len(shown) - 0.5, -0.5)
    panel.grid(False, axis="y")
    style.label(panel, x=study.label(metric))
    left = f"; {len(rows) - len(shown)} more move it less" if len(rows) > len(shown) else ""
    style.title(panel, f"one figure at a time, the others as in the catalog{left}")
    style.shared_legend(panel)
    swing = f", which moves it by {100 * rows[0]['swing'] / abs(base):.3g} %" if base else ""
    style.headline(
        figure, f"{study.amount(metric, base)}; it hangs most on {rows[0]['name']}{swing}"
    )
    return figure
