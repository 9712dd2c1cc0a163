"""Latency over cost: the trials of a search for capacity, and their Pareto front.

The front holds the trials for which no other trial is both cheaper and faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_FIXED = (
    "nodes",
    "replicas",
    "rate_per_s",
    "usd_per_hour",
    "good",
    "answer",
    "front",
    "status",
    "reason",
)
"""Columns of the table of trials that are neither objectives nor options."""


@dataclass(frozen=True)
class _Trials:
    """Trials of a search for capacity."""

    rows: list[Row]
    objectives: list[str]
    """Names of the objectives of the SLO, such as ttft."""
    options: list[str]
    """Columns that the search varied."""
    is_priced: bool
    """Whether every trial has a cost in dollars. If not, cost is the number of nodes."""

    def cost(self, row: Row) -> float:
        """Return the cost per request per second."""
        return float(row["usd_per_hour" if self.is_priced else "nodes"] / row["rate_per_s"])

    def name(self, row: Row) -> str:
        """Return the name of the option that a trial belongs to."""
        return study.described(self.options, [row[name] for name in self.options]) or "as written"

    def points(self, rows: Sequence[Row], objective: str) -> tuple[list[float], list[float]]:
        """Return the costs and latencies [ms] of rows whose latency is finite."""
        finite = [row for row in rows if _is_finite(row[f"{objective}_s"])]
        return (
            [self.cost(row) for row in finite],
            [1e3 * row[f"{objective}_s"] for row in finite],
        )


def draw_slo(panel: Axes, rows: Sequence[Row], objective: str) -> float | None:
    """Draw the limit of an objective as a line; return it [s], or None if no row determines it."""
    limit_s = _limit_s(rows, objective)
    if limit_s is not None:
        panel.axhline(
            1e3 * limit_s, color="black", linewidth=1.0, linestyle=style.DOTTED, label="SLO"
        )
    return limit_s


def draw_front(panel: Axes, points: tuple[list[float], list[float]], label: str) -> None:
    """Draw rings around the points of a Pareto front."""
    panel.plot(
        *points,
        "o",
        markersize=9.0,
        markerfacecolor="none",
        markeredgecolor="black",
        label=label,
    )


def _limit_s(rows: Sequence[Row], objective: str) -> float | None:
    """Return the limit of an objective [s]; None if no row determines it.

    The margin is 1 - latency / limit, so latency and margin determine the limit.
    """
    for row in rows:
        latency_s, margin = row[f"{objective}_s"], row[f"{objective}_margin"]
        if _is_finite(latency_s) and margin is not None and margin < 1.0:
            return float(latency_s / (1.0 - margin))
    return None


def objectives_of(table: pa.Table) -> list[str]:
    """Return the names of the objectives of the SLO, such as ttft, in a table with their margins."""
    names = (name for name in table.column_names if name.endswith("_margin"))
    return [name.removesuffix("_margin") for name in names]


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw one panel per objective of the SLO: its latency over the cost per request/s.

    Cost is in USD/h if all trials have prices, and in nodes otherwise. Trials that miss the SLO are
    pale. Trials of the front have a black ring. The front considers cost and all objectives
    together, so a trial outside of the front may look better in a single panel.

    Parameters
    ----------
    table
        Table of a search for capacity.
    choice
        Not used.
    axes
        Axes to draw on, one per objective. Default: a new figure.

    Raises
    ------
    ScenarioError
        The table is not of a search for capacity.
    """
    trials = _trials(table)
    names = trials.objectives
    figure, panels = style.blank([4.2], columns=len(names), given=axes)
    for panel, objective in zip(panels, names, strict=True):
        _draw_options(panel, trials, objective)
        limit_s = draw_slo(panel, trials.rows, objective)
        _draw_rings(panel, trials, objective)
        for axis in ("x", "y"):
            style.logarithmic(panel, axis)
        style.title(panel, _title(trials, objective, limit_s), width=110 // len(names))
        style.label(
            panel,
            x="cost [USD/h per request/s]" if trials.is_priced else "nodes per request/s",
            y=f"{_short(objective)} [ms]",
        )
    style.shared_legend(panels[0])
    style.headline(panels[0], _finding(trials))
    return figure


def _trials(table: pa.Table) -> _Trials:
    """Return the trials of a table.

    Raises
    ------
    ScenarioError
        The table has no trials.
    """
    study.require(table, ("nodes", "rate_per_s", "usd_per_hour", "good", "front"), "pareto")
    rows, objectives = table.to_pylist(), objectives_of(table)
    if not rows or not objectives:
        raise ScenarioError.at("pareto", "the table has no trial")
    options = [
        name
        for name in table.column_names
        if name not in _FIXED and name.removesuffix("_margin").removesuffix("_s") not in objectives
    ]
    return _Trials(rows, objectives, options, all(row["usd_per_hour"] is not None for row in rows))


def _draw_options(panel: Axes, trials: _Trials, objective: str) -> None:
    """Draw the trials of each option with a colour and mark per option."""
    for place, group in enumerate(study.grouped(trials.rows, trials.options).values()):
        for is_good, alpha in ((True, 1.0), (False, 0.25)):
            panel.plot(
                *trials.points([row for row in group if row["good"] == is_good], objective),
                style.MARKS[place % len(style.MARKS)],
                color=style.look(place)[0],
                alpha=alpha,
                markersize=5.0,
                markeredgewidth=0,
                label=style.in_legend(trials.name(group[0])) if is_good else None,
            )


def _draw_rings(panel: Axes, trials: _Trials, objective: str) -> None:
    """Draw rings around the trials of the front."""
    front = trials.points([row for row in trials.rows if row["front"]], objective)
    draw_front(panel, front, "front: no trial is better in everything")


def _short(objective: str) -> str:
    class_, _, latency = objective.rpartition(".")
    return f"{class_} {latency.upper()}".strip()


def _title(trials: _Trials, objective: str, limit_s: float | None) -> str:
    latencies_s = [row[f"{objective}_s"] for row in trials.rows]
    endless = sum(value is not None and not isfinite(value) for value in latencies_s)
    slo = f"; SLO {style.duration(limit_s)}" if limit_s is not None else ""
    more = f"; {endless} more leave too many requests unanswered" if endless else ""
    return f"{len(trials.rows) - endless} trials{more}{slo}"


def _finding(trials: _Trials) -> str:
    front = [row for row in trials.rows if row["front"]]
    if not front:
        return "No trial meets the SLO"
    cheapest = min(front, key=trials.cost)
    unit = "USD/h" if trials.is_priced else "nodes"
    cost = f"{study.number(trials.cost(cheapest))} {unit} per request/s"
    reached = ", ".join(
        f"{_short(name)} {style.duration(cheapest[f'{name}_s'])}"
        for name in trials.objectives
        if cheapest[f"{name}_s"] is not None
    )
    return f"The cheapest within the SLO is {trials.name(cheapest)}: {cost}, with {reached}"
