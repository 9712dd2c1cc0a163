"""Charts as plain data, for the script of the page to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cluster_sim.figures import style
from cluster_sim.typing import Array

TIME = "time"
"""Name under which charts over simulated time are zoomed together."""


@dataclass(frozen=True)
class Series:
    """One run's line, or cloud, in a chart."""

    label: str
    run: int
    """Number of the run that it is shown and hidden with."""
    colour: str
    values: list[float | None]
    kind: str = "line"
    """Kind of drawing: line, steps, points or area. An area lies on the one before it."""
    dash: list[float] = field(default_factory=list)
    x: list[float | None] | None = None
    """Places of its own; None for those of the chart."""
    width: float = 1.8


@dataclass(frozen=True)
class Limit:
    """A line across a chart, such as an objective."""

    axis: str
    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """What the script of the page draws; numbers have five digits."""

    title: str
    """Sentence about what is found in it."""
    x_label: str
    y_label: str
    series: list[Series]
    x: list[float | None] | None = None
    """Ascending places of all series that have none of their own."""
    x_log: bool = False
    y_log: bool = False
    y_max: float | None = None
    limits: list[Limit] = field(default_factory=list)
    sync: str = ""
    """Name under which charts are zoomed together."""
    run: int | None = None
    """Number of the run that a chart of one run alone is shown and hidden with."""


@dataclass(frozen=True)
class ChartGroup:
    """Charts under one heading."""

    id: str
    heading: str
    text: str
    charts: list[Chart]


@dataclass(frozen=True)
class Line:
    """Something that a page shows and hides: a run, or a line of a sweep."""

    number: int
    label: str
    colour: str
    dash: list[float]


def line(number: int, place: int, label: str) -> Line:
    """Return a line in the look of this place."""
    colour, dash = style.look(place)
    return Line(number, label, colour, dashes(dash))


def dashes(dash: style.Dash) -> list[float]:
    """Return the lengths of a dash as the script of the page has them."""
    return list(dash[1]) if isinstance(dash, tuple) else []


def as_data(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """Return charts as JSON has them."""
    return [asdict(chart) for chart in charts]


def plain(values: Array) -> list[float | None]:
    """Return numbers of five digits; None for what is not known.

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
