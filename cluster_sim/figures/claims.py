"""Published claims: what is found under each reading as a multiple of what is claimed, with limits
and measurements.
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
_NAMED = {True: "found, bears the claim out", False: "found, does not"}
_COUNTED = (
    ("holds", "borne out"),
    ("holds if", "under another reading only"),
    ("does not hold", "under none"),
)
_BOUNDS = {"about": (1.0, 1.0), "at_least": (1.0, float("inf")), "at_most": (0.0, 1.0)}


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """One row a reading of the table that `claims` wrote, claims without a figure left out;
    `choice` has no say.

    Raises ScenarioError for another table, or where no claim has a figure.
    """
    study.wanted(
        table,
        ("claim", "claimed", "reading", "found", "limit", "measured", "agrees", "verdict"),
        "claims",
    )
    rows = [row for row in table.to_pylist() if row["claimed"]]
    if not rows:
        raise ScenarioError.at("claims", "no claim has a figure")
    names = list(dict.fromkeys(row["claim"] for row in rows))
    heights = [0.5 + 0.24 * (len(rows) + len(names))]
    figure, (panel,) = style.blank(heights, given=axes)
    places = _drawn(panel, rows)
    panel.axvline(1.0, color="black", linewidth=1.0, label="claimed")
    panel.set_yticks([place for place, _ in places], [text for _, text in places])
    panel.set_ylim(places[-1][0] + 0.8, -0.8)
    style.logarithmic(panel, "x")
    panel.grid(False, axis="y")
    for tick, (_, text) in zip(panel.get_yticklabels(), places, strict=True):
        tick.set_fontweight("normal" if text.startswith(" ") else "bold")
    style.label(panel, x="as a multiple of what is claimed")
    style.shared_legend(panel)
    verdicts = [next(row["verdict"] for row in rows if row["claim"] == name) for name in names]
    counts = ", ".join(f"{verdicts.count(verdict)} {said}" for verdict, said in _COUNTED)
    style.headline(figure, f"{len(names)} claims with a figure: {counts}")
    return figure


def _drawn(panel: Axes, rows: list[Row]) -> list[tuple[float, str]]:
    """Marks of all rows, an arrow where nothing was found. Returns the heights of headings and rows
    with their texts.
    """
    left, right = _ends(rows)
    places: list[tuple[float, str]] = []
    named: set[str] = set()
    height, before = -1.0, None

    def once(name: str) -> str | None:
        if name in named:
            return None
        named.add(name)
        return name

    for row in rows:
        if row["claim"] != before:
            before, height = row["claim"], height + 1.0
            places.append((height, f"{row['claim']}: {row['verdict']}"))
            panel.axhline(height - 0.5, color="#dddddd", linewidth=0.6)
        height += 1.0
        places.append((height, "   " + shorten(row["reading"], 70, placeholder=" …")))
        low, high = _BOUNDS[row["relation"]]
        slack = row["tolerance"]
        panel.fill_betweenx(
            [height - 0.4, height + 0.4],
            max(low - slack, 1e-9),
            min(high + slack, 1e9),
            color="#eeeeee",
            label=once("within what is claimed"),
        )
        claimed = row["claimed"]
        if row["limit"]:
            panel.plot(
                [row["limit"] / claimed],
                [height],
                "|",
                color="black",
                markersize=11,
                markeredgewidth=2,
                label=once("limit of the hardware"),
            )
        for value in json.loads(row["measured"]):
            panel.plot(
                [value / claimed],
                [height],
                "D",
                color="none",
                markeredgecolor=style.COLOURS[0],
                markersize=6,
                label=once("measured"),
            )
        panel.plot(
            [max(row["found"] / claimed, left)],
            [height],
            "o" if row["found"] > 0.0 else "<",
            color=_COLOURS[row["agrees"]],
            markersize=6,
            clip_on=False,
            label=once(_NAMED[row["agrees"]]),
        )
    panel.set_xlim(left, right)
    return places


def _ends(rows: list[Row]) -> tuple[float, float]:
    """Of the axis: around everything that is more than nothing."""
    values = [
        row[name] / row["claimed"]
        for row in rows
        for name in ("found", "limit")
        if row[name] and row[name] > 0.0
    ]
    return min([0.3, *(0.6 * value for value in values)]), max(
        [3.0, *(1.6 * value for value in values)]
    )
