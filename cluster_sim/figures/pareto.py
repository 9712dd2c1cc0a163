"""What low latency costs: the trials of a search for capacity, and those that no other beats in
cost and latency at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_MARKS = ("o", "s", "^", "D", "v", "P", "X")
_FIXED = ("nodes", "replicas", "rate_per_s", "usd_per_hour", "good", "answer", "front")


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """A panel for each objective of the SLO: its latency against dollars an hour, else nodes, for
    each request a second.

    Trials beyond the SLO are pale, those of the front have a black ring; the front is of cost and
    all objectives together, so that in one panel alone another may seem better. `choice` has no
    say. Raises ScenarioError for another table.
    """
    study.wanted(table, ("nodes", "rate_per_s", "usd_per_hour", "good", "front"), "pareto")
    rows = table.to_pylist()
    names = [
        name.removesuffix("_margin") for name in table.column_names if name.endswith("_margin")
    ]
    if not rows or not names:
        raise ScenarioError.at("pareto", "no trial in the table")
    priced = all(row["usd_per_hour"] is not None for row in rows)
    options = [
        name
        for name in table.column_names
        if name not in _FIXED and name.removesuffix("_margin").removesuffix("_s") not in names
    ]
    figure, panels = style.blank([4.2], columns=len(names), given=axes)
    for panel, name in zip(panels, names, strict=True):
        for place, (values, mine) in enumerate(study.grouped(rows, options).items()):
            _option(panel, mine, name, priced, study.said(options, values) or "as written", place)
        limit_s = _limit_s(rows, name)
        if limit_s is not None:
            panel.axhline(
                1e3 * limit_s, color="black", linewidth=1.0, linestyle=(0, (2.0, 2.0)), label="SLO"
            )
        _ringed(panel, rows, name, priced)
        for axis in ("x", "y"):
            style.logarithmic(panel, axis)
        endless = sum(
            not isfinite(row[f"{name}_s"]) for row in rows if row[f"{name}_s"] is not None
        )
        slo = f"; SLO {style.duration(limit_s)}" if limit_s is not None else ""
        more = f"; {endless} more answer too few" if endless else ""
        style.title(panel, f"{len(rows) - endless} trials{more}{slo}", width=110 // len(names))
        style.label(
            panel,
            x="cost [USD/h for each request/s]" if priced else "nodes for each request/s",
            y=f"{_short(name)} [ms]",
        )
    style.shared_legend(panels[0])
    style.headline(figure, _finding(rows, names, priced, options))
    return figure


def _short(name: str) -> str:
    class_, _, which = name.rpartition(".")
    return f"{class_} {which.upper()}".strip()


def _cost(row: Row, priced: bool) -> float:
    return float(row["usd_per_hour" if priced else "nodes"] / row["rate_per_s"])


def _shown(rows: list[Row], name: str, priced: bool) -> tuple[list[float], list[float]]:
    """(costs, latencies [ms]) of rows whose latency is finite."""
    finite = [row for row in rows if row[f"{name}_s"] is not None and isfinite(row[f"{name}_s"])]
    return [_cost(row, priced) for row in finite], [1e3 * row[f"{name}_s"] for row in finite]


def _option(panel: Axes, rows: list[Row], name: str, priced: bool, label: str, place: int) -> None:
    colour, mark = style.look(place)[0], _MARKS[place % len(_MARKS)]
    for good, alpha in ((True, 1.0), (False, 0.25)):
        mine = [row for row in rows if row["good"] == good]
        panel.plot(
            *_shown(mine, name, priced),
            mark,
            color=colour,
            alpha=alpha,
            markersize=5.0,
            markeredgewidth=0,
            label=label if good else None,
        )


def _ringed(panel: Axes, rows: list[Row], name: str, priced: bool) -> None:
    front = [row for row in rows if row["front"]]
    panel.plot(
        *_shown(front, name, priced),
        "o",
        markersize=9.0,
        markerfacecolor="none",
        markeredgecolor="black",
        label="front: none better in all",
    )


def _limit_s(rows: list[Row], name: str) -> float | None:
    """A margin is the share of the limit that is left, so that latency and margin tell the limit."""
    for row in rows:
        latency_s, margin = row[f"{name}_s"], row[f"{name}_margin"]
        if latency_s is not None and isfinite(latency_s) and margin is not None and margin < 1.0:
            return float(latency_s / (1.0 - margin))
    return None


def _finding(rows: list[Row], names: list[str], priced: bool, options: list[str]) -> str:
    front = [row for row in rows if row["front"]]
    if not front:
        return "No trial meets the SLO"
    cheapest = min(front, key=lambda row: _cost(row, priced))
    who = study.said(options, [cheapest[name] for name in options]) or "as written"
    cost = f"{study.number(_cost(cheapest, priced))} {'USD/h' if priced else 'nodes'} for each request/s"
    reached = ", ".join(
        f"{_short(name)} {style.duration(cheapest[f'{name}_s'])}"
        for name in names
        if cheapest[f"{name}_s"] is not None
    )
    return f"The cheapest within the SLO is {who}: {cost}, with {reached}"
