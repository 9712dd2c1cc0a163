"""Metric: one number that a run is judged by, and how it is named, shown and computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from functools import cached_property
from typing import Any, NamedTuple

from cluster_sim.results.metrics.naming import label_of
from cluster_sim.results.metrics.selection import Selection

Value = float | Mapping[str, float] | Sequence[Mapping[str, Any]] | None
"""What a metric comes to: a number, a truth, numbers by part, entries of a list, or None where it
does not exist."""


class Scope(Flag):
    """Selections that a metric exists for."""

    RUN = auto()
    POOL = auto()
    CLASS = auto()


EVERYWHERE = Scope.RUN | Scope.POOL | Scope.CLASS
MACHINES = Scope.RUN | Scope.POOL
"""Scope of what replicas tell; their steps do not tell classes apart."""


class Row(NamedTuple):
    """A line of the table that `cluster-sim run` prints."""

    place: int
    """Lines ascend by it."""
    label: str
    spec: str
    """Format of the number, as Python writes it."""
    divisor: float = 1.0
    """Number of the metric's units in one unit of the label."""
    has_interval: bool = False
    """Whether the metrics `p5_NAME` and `p95_NAME` stand beside it."""


class Heading(NamedTuple):
    """Heading of a column of the report, and how its numbers are written."""

    text: str
    scale: float = 1.0
    """Factor that turns the metric into the unit of the heading."""
    decimals: int | None = None
    """Number of decimals; None for three significant figures, and all of a whole number."""


@dataclass(frozen=True)
class Metric:
    """A field of summary.json, and everything that is known about it.

    The run table, labels of figures, cells of the report, copies of a cluster and samples of a
    fleet follow from it.
    """

    name: str
    """Key in summary.json."""
    unit: str
    """Unit of the value; `share` for a share of 1, empty for a count."""
    description: str
    """Sentence that says what it is."""
    compute: Callable[[Selection], Value]
    """Function that returns its value for a selection, or None where it does not exist."""
    scope: Scope = EVERYWHERE
    is_extensive: bool = False
    """Whether it grows with the number of copies of a cluster, or of a sample of a fleet."""
    label: str = ""
    """Label in figures; empty where it follows from the name."""
    heading: Heading | None = None
    """Heading in the report; None where it follows from the label."""
    row: Row | None = None
    """Line in the table of `cluster-sim run`; None where it has none."""

    def of(self, selection: Selection) -> Value:
        """Return its value for a selection, or None where it does not exist."""
        if self.is_of_machines:
            return selection.machines.once(self.compute)
        return self.compute(selection)

    @cached_property
    def is_of_machines(self) -> bool:
        """Whether it follows from replicas, whose steps do not tell classes apart.

        Then it is computed once where one pool has all replicas.
        """
        return Scope.CLASS not in self.scope

    @property
    def figure_label(self) -> str:
        """Label in figures."""
        return self.label or label_of(self.name)

    @property
    def report_heading(self) -> Heading:
        """Heading in the report."""
        if self.heading is not None:
            return self.heading
        if self.unit == "share":
            return Heading(f"{self.figure_label} [%]", 100.0, 1)
        return Heading(self.figure_label)

    def cell(self, summary: Mapping[str, Any]) -> str:
        """Return its cell in the run table, a dash where a summary lacks it."""
        assert self.row is not None
        if self.name not in summary:
            return "-"
        text = self._number(summary, "")
        if not self.row.has_interval:
            return text
        return f"{text} ({self._number(summary, 'p5_')} to {self._number(summary, 'p95_')})"

    def _number(self, summary: Mapping[str, Any], prefix: str) -> str:
        assert self.row is not None
        return format(summary[f"{prefix}{self.name}"] / self.row.divisor, self.row.spec)
