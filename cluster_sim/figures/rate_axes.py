"""Axes of a sweep over rates: the one that sets the traffic, and the one with a line per value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cluster_sim.figures import study_table as study
from cluster_sim.figures.study_table import Row

_ENDINGS = ("rate_per_s", "speedup", "concurrency")
"""Endings of columns that set the offered traffic, the best one first."""


class RateAxes(NamedTuple):
    """Axes of a sweep that are drawn over a rate."""

    along: str
    """Column of the rate that orders the points of a line."""
    lines: str | None
    """Column with one line per value; None if there is one line."""
    rest: list[str]
    """Columns with one row of panels per combination of their values."""


def rate_axis(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    """Return the axis of a sweep that sets the offered traffic; None if none does.

    Parameters
    ----------
    rows
        Points of a sweep.
    names
        Columns of axes that vary.

    Examples
    --------
    >>> rate_axis([{"seed": 1, "workload.arrivals.rate_per_s": 2.0}], ["seed", "workload.arrivals.rate_per_s"])
    'workload.arrivals.rate_per_s'
    """
    for ending in _ENDINGS:
        for name in names:
            if name.endswith(ending) and study.numeric(rows, name):
                return name
    return None


def axes_over(along: str, names: Sequence[str]) -> RateAxes:
    """Return the axes of a sweep, drawn over one of them; lines are variants if these vary.

    >>> axes_over("rate", ["nodes", "variant", "rate"])
    RateAxes(along='rate', lines='variant', rest=['nodes'])
    """
    others = [name for name in names if name != along]
    lines = "variant" if "variant" in others else next(iter(others), None)
    return RateAxes(along, lines, [name for name in others if name != lines])
