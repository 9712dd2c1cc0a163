"""Where one machine overtakes another: the cheapest within a limit on latency, over the rate of
requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.study_table import Choice, Row

_COST = "usd_per_million_output_tokens"
_LATENCY = "p95_tpot_ms"
_RATE = "workload.arrivals.rate_per_s"
_USED = "compute_utilisation"
_WITHIN = 0.95
"""Share of the requests that must keep the scenario's own SLO, where it has one."""
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def of_study(table: pa.Table, choice: Choice, axes: Sequence[Axes] | None = None) -> Figure:
    """Above, the machine that makes tokens cheapest at each rate (across) and limit on latency
    (upwards); below, what they cost.

    Machines are the sweep's variants; whatever else it varies but the rate is how a machine may be
    set up, of which the cheapest counts that keeps the limit, and the scenario's own SLO for 95 %
    of its requests. The number in a cell is how many times as much the next machine costs, so that
    it is also the factor by which a price may grow before the two are even. choice: `x` the rate's
    column, `y` the latency that is limited, the first of `metrics` the cost. Raises ScenarioError
    where the sweep has no variants, no rate, or costs nothing.
    """
    x, latency, cost = choice.x or _RATE, choice.y or _LATENCY, (choice.metrics or (_COST,))[0]
    rows = study.points(table)
    study.wanted(table, (x, latency, cost, "variant"), "break_even")
    good = [
        row
        for row in rows
        if row[cost] is not None
        and row[latency] is not None
        and (row.get("slo_attainment") is None or row["slo_attainment"] >= _WITHIN)
    ]
    if not good:
        raise ScenarioError.at(
            "break_even", f"no point has {cost} and keeps the SLO for {_WITHIN:.0%} of its requests"
        )
    machines, rates = (
        study.values([row["variant"] for row in rows]),
        study.values([row[x] for row in rows]),
    )
    means = _means(good, [name for name in study.varied(rows) if name != "seed"], x, latency, cost)
    limits = list(_limits([row[latency] for row in means]))
    figure, (top, bottom) = style.blank([1.2 + 0.3 * len(limits), 2.8], given=axes)
    winners = _map(top, means, machines, rates, limits, (x, latency, cost))
    _lines(bottom, means, machines, (x, cost))
    style.label(top, x=study.label(x), y=f"limit on {study.label(latency)}")
    style.label(bottom, x=study.label(x), y="cost [USD per million output tokens]")
    style.title(
        top,
        "the cheapest machine, and how many times as much the next one costs; alone: no other keeps the limit; white: none does",
    )
    style.title(
        bottom,
        "each machine as it is cheapest, its latency unlimited; bands: 5th to 95th percentile of prices",
    )
    bottom.legend(fontsize=8, ncols=4)
    style.headline(figure, _finding(machines, winners, limits, rates, latency))
    return figure


def _means(rows: Sequence[Row], axes: Sequence[str], x: str, latency: str, cost: str) -> list[Row]:
    """One row a point, the mean over its replications."""
    found = []
    names = list(dict.fromkeys(["variant", x, *axes]))
    numbers = [latency, cost, *(f"{end}_{cost}" for end in ("p5", "p95")), _USED]
    for values, mine in study.grouped(rows, names).items():
        known = {
            name: float(np.mean([row[name] for row in mine]))
            for name in numbers
            if all(row.get(name) is not None for row in mine)
        }
        found.append(dict(zip(names, values, strict=True)) | known)
    return found


def _limits(latencies_ms: Sequence[float]) -> Iterator[float]:
    """Round limits from just above the least latency to just above the greatest."""
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


def _map(
    panel: Axes,
    rows: Sequence[Row],
    machines: Sequence[str],
    rates: Sequence[float],
    limits: Sequence[float],
    columns: tuple[str, str, str],
) -> np.ndarray:
    """Cells by winner. Returns the machine's place in `machines`, (limits, rates); NaN where none
    keeps the limit.
    """
    x, latency, cost = columns
    winners = np.full((len(limits), len(rates)), np.nan)
    for up, limit in enumerate(limits):
        for across, rate in enumerate(rates):
            costs = {
                name: min(
                    (
                        row[cost]
                        for row in rows
                        if (row["variant"], row[x]) == (name, rate) and row[latency] <= limit
                    ),
                    default=None,
                )
                for name in machines
            }
            ranked = sorted((usd, name) for name, usd in costs.items() if usd is not None)
            if ranked:
                winners[up, across] = machines.index(ranked[0][1])
                ratio = f"x {ranked[1][0] / ranked[0][0]:.3g}" if len(ranked) > 1 else "alone"
                panel.text(across, up, ratio, ha="center", va="center", fontsize=7, color="#ffffff")
    colours = [style.look(place)[0] for place in range(len(machines))]
    panel.imshow(
        winners,
        origin="lower",
        aspect="auto",
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(machines) - 0.5,
        alpha=0.85,
    )
    panel.grid(False)
    panel.set_xticks(range(len(rates)), [study.number(rate) for rate in rates])
    panel.set_yticks(range(len(limits)), [study.number(limit) for limit in limits])
    return winners


def _lines(
    panel: Axes, rows: Sequence[Row], machines: Sequence[str], columns: tuple[str, str]
) -> None:
    """The cheapest set-up of each machine over the rate, with the range of its prices."""
    x, cost = columns
    for place, name in enumerate(machines):
        cheapest = [
            min(mine, key=lambda row: row[cost])
            for mine in study.grouped([row for row in rows if row["variant"] == name], [x]).values()
        ]
        colour, dash = style.look(place)
        rates = [row[x] for row in cheapest]
        panel.plot(
            rates,
            [row[cost] for row in cheapest],
            color=colour,
            linestyle=dash,
            marker="o",
            markersize=3.5,
            label=f"{name}{_used(cheapest)}",
        )
        if all(f"{end}_{cost}" in row for row in cheapest for end in ("p5", "p95")):
            panel.fill_between(
                rates,
                [row[f"p5_{cost}"] for row in cheapest],
                [row[f"p95_{cost}"] for row in cheapest],
                color=colour,
                alpha=0.2,
                linewidth=0,
            )
    for axis in ("x", "y"):
        style.logarithmic(panel, axis)


def _used(rows: Sequence[Row]) -> str:
    """From the lowest rate to the highest, where it is known."""
    if any(_USED not in row for row in rows):
        return ""
    low, high = (style.percent(float(end(row[_USED] for row in rows))) for end in (min, max))
    return f", {low} to {high} of its compute used"


def _finding(
    machines: Sequence[str],
    winners: np.ndarray,
    limits: Sequence[float],
    rates: Sequence[float],
    latency: str,
) -> str:
    """Who wins where: the limits and rates among which each machine is the cheapest somewhere."""
    said = []
    for place, name in enumerate(machines):
        mine = winners == place
        if not mine.any():
            said.append(f"{name} nowhere")
            continue
        ups, acrosses = np.nonzero(mine)
        at_limits, at_rates = (
            _span([limits[int(up)] for up in ups]),
            _span([rates[int(across)] for across in acrosses]),
        )
        said.append(f"{name} at limits of {at_limits} ms and {at_rates} requests/s")
    return f"Cheapest under a limit on {study.label(latency).partition(' [')[0]}: {'; '.join(said)}"


def _span(values: Sequence[float]) -> str:
    low, high = study.number(min(values)), study.number(max(values))
    return low if low == high else f"{low} to {high}"
