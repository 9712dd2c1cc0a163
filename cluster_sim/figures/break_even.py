"""The cheapest variant of a sweep for each request rate and limit of latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row
from cluster_sim.typing import Array

_COST = "usd_per_million_output_tokens"
_LATENCY = "p95_tpot_ms"
_RATE = "workload.arrivals.rate_per_s"
_USED = "compute_utilisation"
_WITHIN = 0.95
"""Minimum share of requests within the scenario's SLO, for sweeps of old versions that have no
verdict."""
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


class _CostColumns(NamedTuple):
    """Columns of a sweep that are drawn."""

    rate: str
    latency: str
    cost: str


class _Winners(NamedTuple):
    """The cheapest variant at each rate and limit of latency."""

    machines: list[str]
    rates: list[float]
    limits: list[float]
    places: Array
    """Index in `machines` (limits, rates); NaN if no variant keeps the limit."""
    ratios: Array
    """Cost of the second cheapest variant over the cost of the cheapest (limits, rates); NaN if no
    second variant keeps the limit."""


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw a map of the cheapest variant, and below it the cost of each variant over the rate.

    The x axis of the map is the request rate, its y axis the limit of latency. All other axes of the
    sweep are set-ups of a variant. Each variant is represented by its cheapest set-up that keeps
    the limit and the scenario's SLO. The number in a cell is the cost of the second cheapest variant
    over that of the cheapest: the factor by which the cheapest could become more expensive before
    both cost the same.

    Parameters
    ----------
    table
        Table of a sweep.
    choice
        `x`: column of the rate; `y`: column of the latency that is limited; first of `metrics`:
        column of the cost.
    axes
        Two axes to draw on. Default: a new figure.

    Raises
    ------
    ScenarioError
        The sweep has no variants, no rate or no costs.
    """
    columns = _CostColumns(choice.x or _RATE, choice.y or _LATENCY, (choice.metrics or (_COST,))[0])
    rows = study.points(table)
    study.require_numbers(table, columns, "break_even")
    study.require(table, ("variant",), "break_even")
    means = _means(_good(rows, columns.cost, columns.latency), study.varied(rows), columns)
    machines = study.distinct([row["variant"] for row in rows])
    rates = study.distinct([row[columns.rate] for row in rows])
    limits = list(_limits([row[columns.latency] for row in means]))
    winners = _winners(means, columns, machines, rates, limits)
    figure, (top, bottom) = style.blank([1.2 + 0.3 * len(limits), 2.8], given=axes)
    _draw_map(top, winners)
    _draw_lines(bottom, means, machines, columns)
    style.label(top, x=study.label(columns.rate), y=f"limit of {study.label(columns.latency)}")
    style.label(bottom, x=study.label(columns.rate), y=study.label(_COST))
    style.title(
        top,
        "Colour: cheapest variant; number: cost of the second cheapest / cost of the cheapest; "
        "only: no other keeps the limit; white: none keeps it",
    )
    style.title(
        bottom,
        "Cheapest set-up of each variant without a limit of latency; bands: 5th to 95th percentile of prices",
    )
    bottom.legend(fontsize=8, ncols=4)
    style.headline(top, _finding(winners, columns.latency))
    return figure


def _good(rows: Sequence[Row], cost: str, latency: str) -> list[Row]:
    """Return the points with a cost and a latency that keep the scenario's SLO.

    Raises
    ------
    ScenarioError
        No point does.
    """
    good = [
        row
        for row in rows
        if row[cost] is not None and row[latency] is not None and _meets_slo(row)
    ]
    if not good:
        raise ScenarioError.at("break_even", f"no point has {cost} and meets the SLO")
    return good


def _meets_slo(row: Row) -> bool:
    """Return the verdict on a point; True if the scenario has no SLO."""
    if row.get("slo_met") is not None:
        return bool(row["slo_met"])
    return row.get("slo_attainment") is None or row["slo_attainment"] >= _WITHIN


def _means(rows: Sequence[Row], axes: Sequence[str], columns: _CostColumns) -> list[Row]:
    """Return one row per point, the mean over its replications."""
    names = list(
        dict.fromkeys(["variant", columns.rate, *(name for name in axes if name != "seed")])
    )
    ends = (f"{end}_{columns.cost}" for end in ("p5", "p95"))
    numbers = [columns.latency, columns.cost, *ends, _USED]
    means = []
    for values, group in study.grouped(rows, names).items():
        known = {
            name: float(np.mean([row[name] for row in group]))
            for name in numbers
            if all(row.get(name) is not None for row in group)
        }
        means.append(dict(zip(names, values, strict=True)) | known)
    return means


def _limits(latencies_ms: Sequence[float]) -> Iterator[float]:
    """Yield round limits from just above the lowest latency to just above the highest [ms]."""
    low, high = min(latencies_ms), max(latencies_ms)
    every = [
        step * 10.0**power
        for power in range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
        for step in _STEPS
    ]
    yield from (
        limit
        for limit in every
        if low <= limit and not any(high <= smaller < limit for smaller in every)
    )


def _winners(
    rows: Sequence[Row],
    columns: _CostColumns,
    machines: list[str],
    rates: list[float],
    limits: list[float],
) -> _Winners:
    """Return the cheapest variant at each rate and limit."""
    places, ratios = (np.full((len(limits), len(rates)), np.nan) for _ in range(2))
    for up, limit in enumerate(limits):
        for across, rate in enumerate(rates):
            cheapest: dict[str, float] = {}
            for row in rows:
                if row[columns.rate] == rate and row[columns.latency] <= limit:
                    name, cost = row["variant"], row[columns.cost]
                    cheapest[name] = min(cost, cheapest.get(name, cost))
            ranked = sorted((cost, name) for name, cost in cheapest.items())
            if ranked:
                places[up, across] = machines.index(ranked[0][1])
            if len(ranked) > 1:
                ratios[up, across] = ranked[1][0] / ranked[0][0]
    return _Winners(machines, rates, limits, places, ratios)


def _draw_map(panel: Axes, winners: _Winners) -> None:
    """Draw cells in the colour of the cheapest variant."""
    for (up, across), ratio in np.ndenumerate(winners.ratios):
        if not np.isnan(winners.places[up, across]):
            text = "only" if np.isnan(ratio) else f"x {ratio:.3g}"
            panel.text(across, up, text, ha="center", va="center", fontsize=7, color="#ffffff")
    machines = len(winners.machines)
    panel.imshow(
        winners.places,
        origin="lower",
        aspect="auto",
        cmap=ListedColormap([style.look(place)[0] for place in range(machines)]),
        vmin=-0.5,
        vmax=machines - 0.5,
        alpha=0.85,
    )
    panel.grid(visible=False)
    panel.set_xticks(range(len(winners.rates)), [study.number(rate) for rate in winners.rates])
    panel.set_yticks(range(len(winners.limits)), [study.number(limit) for limit in winners.limits])


def _draw_lines(
    panel: Axes, rows: Sequence[Row], machines: Sequence[str], columns: _CostColumns
) -> None:
    """Draw the cost of each variant's cheapest set-up over the rate, with its range of prices."""
    for place, name in enumerate(machines):
        group = [row for row in rows if row["variant"] == name]
        cheapest = [
            min(at_rate, key=lambda row: row[columns.cost])
            for at_rate in study.grouped(group, [columns.rate]).values()
        ]
        colour, dash = style.look(place)
        rates = [row[columns.rate] for row in cheapest]
        panel.plot(
            rates,
            [row[columns.cost] for row in cheapest],
            color=colour,
            linestyle=dash,
            marker="o",
            markersize=3.5,
            label=style.in_legend(f"{name}{_used(cheapest)}"),
        )
        ends = [f"{end}_{columns.cost}" for end in ("p5", "p95")]
        if all(end in row for row in cheapest for end in ends):
            low, high = ([row[end] for row in cheapest] for end in ends)
            panel.fill_between(rates, low, high, color=colour, alpha=0.2, linewidth=0)
    for axis in ("x", "y"):
        style.logarithmic(panel, axis)


def _used(rows: Sequence[Row]) -> str:
    """Return the range of a variant's compute utilisation as text; "" if it is not known."""
    if not rows or any(_USED not in row for row in rows):
        return ""
    low, high = (style.percent(float(end(row[_USED] for row in rows))) for end in (min, max))
    return f", {low} to {high} of its compute used"


def _finding(winners: _Winners, latency: str) -> str:
    """Return the ranges of limits and rates within which each variant is cheapest somewhere."""
    texts = []
    for place, name in enumerate(winners.machines):
        ups, acrosses = np.nonzero(winners.places == place)
        if not len(ups):
            texts.append(f"{name} nowhere")
            continue
        limits = _span([winners.limits[int(up)] for up in ups])
        rates = _span([winners.rates[int(across)] for across in acrosses])
        texts.append(f"{name} at limits of {limits} ms and {rates} requests/s")
    return f"Cheapest within a limit of {study.without_unit(latency)}: {'; '.join(texts)}"


def _span(values: Sequence[float]) -> str:
    low, high = study.number(min(values)), study.number(max(values))
    return low if low == high else f"{low} to {high}"
