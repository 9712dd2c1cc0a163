"""Latency over what a plan optimises: the deployments that it simulated, and their Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.pareto import draw_front, draw_slo, objectives_of
from cluster_sim.figures.study_table import Choice, Row


class _Quantity(NamedTuple):
    """A quantity that a plan optimises."""

    column: str
    axis: str
    """Label of the axis."""
    scale: float
    """Factor from the column to the axis."""
    sentence: str
    """Words around a value."""


_QUANTITIES = {
    "usd_per_hour": _Quantity("usd_per_hour", "cost [USD/h]", 1.0, "for {} USD/h"),
    "nodes": _Quantity("nodes", "nodes", 1.0, "on {} nodes"),
    "power": _Quantity("mean_power_w", "mean power [kW]", 1e-3, "at {} kW"),
    "goodput": _Quantity(
        "request_goodput",
        "goodput [requests/s within the SLO]",
        1.0,
        "with {} requests/s within the SLO",
    ),
}


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw one panel per objective of the SLO: its latency over the quantity that is optimised.

    Deployments that miss the SLO, or of which only a part of the traffic was simulated, are pale.
    Deployments of the front have a black ring, winners a star. The front considers all latencies
    together, so a deployment outside of the front may look better in a single panel.

    Parameters
    ----------
    table
        Table of a plan.
    choice
        Not used.
    axes
        Axes to draw on, one per objective. Default: a new figure.

    Raises
    ------
    ScenarioError
        The table is not of a plan, or no deployment has a finite latency.
    """
    study.require(table, ("optimised", "good", "front", "answer"), "plan")
    rows, names = table.to_pylist(), objectives_of(table)
    if not rows:
        raise ScenarioError.at("plan", "the table has no deployment")
    wanted = _QUANTITIES[rows[0]["optimised"]]
    figure, panels = style.blank([4.2], columns=len(names), given=axes)
    for panel, objective in zip(panels, names, strict=True):
        _draw(panel, rows, objective, wanted)
        draw_slo(panel, rows, objective)
        style.logarithmic(panel, "y")
        hidden = sum(not _is_shown(row, objective, wanted) for row in rows)
        more = f"; {hidden} more leave too many requests unanswered" if hidden else ""
        style.title(
            panel, f"{len(rows) - hidden} deployments simulated{more}", width=110 // len(names)
        )
        style.label(panel, x=wanted.axis, y=f"{objective.upper()} [ms]")
    style.shared_legend(panels[0])
    style.headline(panels[0], _finding(rows, names, wanted))
    return figure


def _is_shown(row: Row, objective: str, wanted: _Quantity) -> bool:
    values = row.get(f"{objective}_s"), row.get(wanted.column)
    return all(value is not None and isfinite(value) for value in values)


def _draw(panel: Axes, rows: Sequence[Row], objective: str, wanted: _Quantity) -> None:
    """Draw deployments with a colour and mark per variant, rings and stars."""

    def points(some: Sequence[Row]) -> tuple[list[float], list[float]]:
        shown = [row for row in some if _is_shown(row, objective, wanted)]
        return (
            [wanted.scale * row[wanted.column] for row in shown],
            [1e3 * row[f"{objective}_s"] for row in shown],
        )

    for place, ((name,), group) in enumerate(_by_variant(rows).items()):
        for is_good, alpha in ((True, 1.0), (False, 0.25)):
            label = f"{name} within the SLO".strip() if is_good else None
            panel.plot(
                *points([row for row in group if row["good"] == is_good]),
                style.MARKS[place % len(style.MARKS)],
                color=style.look(place)[0],
                alpha=alpha,
                markersize=5.0,
                markeredgewidth=0,
                label=label if label is None else style.in_legend(label),
            )
    front = points([row for row in rows if row["front"]])
    draw_front(panel, front, "front: no deployment is better in everything")
    panel.plot(
        *points([row for row in rows if row["answer"]]),
        "*",
        markersize=13.0,
        color="black",
        label="winner",
    )


def _by_variant(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.get("variant") or "",), []).append(row)
    return groups


def _finding(rows: Sequence[Row], names: Sequence[str], wanted: _Quantity) -> str:
    winners = [row for row in rows if row["answer"]]
    if not winners:
        return "No deployment meets the SLO"
    sign = -1.0 if wanted.column == "request_goodput" else 1.0
    best = min(winners, key=lambda row: sign * row[wanted.column])
    reached = ", ".join(f"{name.upper()} {style.duration(best[f'{name}_s'])}" for name in names)
    variant = f"{best['variant']} " if best.get("variant") else ""
    value = study.number(wanted.scale * best[wanted.column])
    return f"Winner: {variant}{wanted.sentence.format(value)}, with {reached}"
