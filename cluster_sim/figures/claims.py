"""Published claims: the simulated value of each reading as a multiple of the claimed value.

Limits of the hardware and measurements are drawn beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import shorten

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_COLOURS = {True: style.COLOURS[2], False: style.COLOURS[1]}
_NAMED = {True: "simulated, agrees with the claim", False: "simulated, differs"}
_VERDICTS = {
    "holds": "holds",
    "holds if": "holds only under another reading",
    "does not hold": "does not hold",
}
"""Texts of the verdicts on claims with a number."""
_BOUNDS = {"about": (1.0, 1.0), "at_least": (1.0, float("inf")), "at_most": (0.0, 1.0)}


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw one row per reading of the table that `claims` wrote.

    Claims without a number are omitted.

    Parameters
    ----------
    table
        Table of the readings of claims.
    choice
        Not used.
    axes
        One axes to draw on. Default: a new figure.

    Raises
    ------
    ScenarioError
        The table is not of claims, or no claim has a number.
    """
    study.require(
        table,
        ("claim", "claimed", "reading", "found", "limit", "measured", "agrees", "verdict"),
        "claims",
    )
    rows = [row for row in table.to_pylist() if row["claimed"]]
    if not rows:
        raise ScenarioError.at("claims", "no claim has a number")
    names = list(dict.fromkeys(row["claim"] for row in rows))
    figure, (panel,) = style.blank([0.5 + 0.24 * (len(rows) + len(names))], given=axes)
    places = _draw_rows(panel, rows)
    panel.axvline(1.0, color="black", linewidth=1.0, label="claimed")
    panel.set_yticks([place for place, _ in places], [text for _, text in places])
    panel.set_ylim(places[-1][0] + 0.8, -0.8)
    style.logarithmic(panel, "x")
    panel.grid(visible=False, axis="y")
    for tick, (_, text) in zip(panel.get_yticklabels(), places, strict=True):
        tick.set_fontweight("normal" if text.startswith(" ") else "bold")
    style.label(panel, x="value / claimed value [-]")
    _name_once(panel)
    style.shared_legend(panel)
    verdicts = [next(row["verdict"] for row in rows if row["claim"] == name) for name in names]
    counts = "; ".join(f"{text}: {verdicts.count(verdict)}" for verdict, text in _VERDICTS.items())
    style.headline(panel, f"{len(names)} claims with a number; {counts}")
    return figure


def _draw_rows(panel: Axes, rows: list[Row]) -> list[tuple[float, str]]:
    """Draw all rows; return the heights of headings and rows with their texts."""
    left, right = _ends(rows)
    places: list[tuple[float, str]] = []
    height, before = -1.0, None
    for row in rows:
        if row["claim"] != before:
            before, height = row["claim"], height + 1.0
            places.append((height, f"{row['claim']}: {_VERDICTS[row['verdict']]}"))
            panel.axhline(height - 0.5, color="#dddddd", linewidth=0.6)
        height += 1.0
        places.append((height, "   " + shorten(row["reading"], 70, placeholder=" …")))
        _draw_row(panel, row, height, left)
    panel.set_xlim(left, right)
    return places


def _draw_row(panel: Axes, row: Row, height: float, left: float) -> None:
    """Draw the marks of a row; an arrow if the simulated value is 0."""
    (low, high), slack, claimed = _BOUNDS[row["relation"]], row["tolerance"], row["claimed"]
    panel.fill_betweenx(
        [height - 0.4, height + 0.4],
        max(low - slack, 1e-9),
        min(high + slack, 1e9),
        color="#eeeeee",
        label="within the claim",
    )
    if row["limit"]:
        panel.plot(
            [row["limit"] / claimed],
            [height],
            "|",
            color="black",
            markersize=11,
            markeredgewidth=2,
            label="limit of the hardware",
        )
    for value in json.loads(row["measured"]):
        panel.plot(
            [value / claimed],
            [height],
            "D",
            color="none",
            markeredgecolor=style.COLOURS[0],
            markersize=6,
            label="measured",
        )
    panel.plot(
        [max(row["found"] / claimed, left)],
        [height],
        "o" if row["found"] > 0.0 else "<",
        color=_COLOURS[row["agrees"]],
        markersize=6,
        clip_on=False,
        label=_NAMED[row["agrees"]],
    )


def _name_once(panel: Axes) -> None:
    """Hide all but the first label of each name, so that the legend shows each name once."""
    named: set[str] = set()
    handles, names = panel.get_legend_handles_labels()
    for handle, name in zip(handles, names, strict=True):
        if name in named:
            handle.set_label("_nolegend_")
        named.add(name)


def _ends(rows: list[Row]) -> tuple[float, float]:
    """Return the ends of the axis, around all values above 0."""
    values = [
        row[name] / row["claimed"]
        for row in rows
        for name in ("found", "limit")
        if row[name] and row[name] > 0.0
    ]
    low = min([0.3, *(0.6 * value for value in values)])
    return low, max([3.0, *(1.6 * value for value in values)])
