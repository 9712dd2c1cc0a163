"""Charts as plain data. The script of the page draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cluster_sim.figures import style
from cluster_sim.typing import Array

TIME = "time"
"""Name of the group of charts over simulated time, which zoom together."""


@dataclass(frozen=True)
class Series:
    """Line, area or points of one run in a chart."""

    label: str
    """Label of the series."""
    run: int
    """Number of the run; hiding the run hides the series."""
    colour: str
    """Colour of the series."""
    values: list[float | None]
    """Values on the y axis."""
    kind: str = "line"
    """Kind of drawing: line, steps, points or area. An area is stacked on the previous area."""
    dash: list[float] = field(default_factory=list)
    """Lengths of the dash; empty for a solid line."""
    x: list[float | None] | None = None
    """Values on the x axis; None for the values of the chart."""
    width: float = 1.8
    """Width of the line [pixels]."""


@dataclass(frozen=True)
class Limit:
    """Line across a chart, such as a limit of the SLO."""

    axis: str
    """Axis that the line crosses: x or y."""
    at: float
    """Value on this axis."""
    label: str
    """Text beside the line."""


@dataclass(frozen=True)
class Chart:
    """Chart that the script of the page draws; numbers have five digits."""

    title: str
    """Finding of the chart as a sentence."""
    x_label: str
    """Label of the x axis, with its unit."""
    y_label: str
    """Label of the y axis, with its unit."""
    series: list[Series]
    """Series of the chart."""
    x: list[float | None] | None = None
    """Ascending values on the x axis, for series without such values."""
    x_log: bool = False
    """Whether the x axis is logarithmic."""
    y_log: bool = False
    """Whether the y axis is logarithmic."""
    y_max: float | None = None
    """End of the y axis; None for the highest value."""
    limits: list[Limit] = field(default_factory=list)
    """Lines across the chart."""
    sync: str = ""
    """Name of the group of charts that zoom together; empty for a chart without a group."""
    run: int | None = None
    """Number of the run of a chart about one run; hiding the run hides the chart."""


@dataclass(frozen=True)
class ChartGroup:
    """Charts under one heading."""

    id: str
    heading: str
    text: str
    charts: list[Chart]


@dataclass(frozen=True)
class Line:
    """Run, or line of a sweep, that a reader of the page may show or hide."""

    number: int
    """Number that identifies the line in the page."""
    label: str
    """Label of the line."""
    colour: str
    """Colour of the line."""
    dash: list[float]
    """Lengths of the dash; empty for a solid line."""


def line(number: int, place: int, label: str) -> Line:
    """Return a line with the colour and dash of an index."""
    colour, dash = style.look(place)
    return Line(number, label, colour, dashes(dash))


def dashes(dash: style.Dash) -> list[float]:
    """Return the lengths of a dash as the script of the page takes them."""
    return list(dash[1]) if isinstance(dash, tuple) else []


def as_data(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """Return charts as data for JSON."""
    return [asdict(chart) for chart in charts]


def plain(values: Array) -> list[float | None]:
    """Return numbers of five significant digits; None for values that are not finite.

    >>> plain(np.array([0.123456789, 2.0, np.nan]))
    [0.12346, 2, None]
    """
    return [
        None if not np.isfinite(value) else _short(value)
        for value in np.asarray(values, dtype=float).tolist()
    ]


def _short(value: float) -> float:
    number = float(f"{value:.5g}")
    return int(number) if number == int(number) and abs(number) < 1e15 else number
