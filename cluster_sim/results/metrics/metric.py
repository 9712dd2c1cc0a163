"""Metric: one field of summary.json, with its name, labels and function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from functools import cached_property
from typing import Any, NamedTuple

from cluster_sim.results.metrics.naming import label_of
from cluster_sim.results.metrics.selection import Selection

Value = float | Mapping[str, float] | Sequence[Mapping[str, Any]] | None
"""Value of a metric: a number, a boolean, numbers by part, entries of a list, or None if the metric
does not exist."""


class Scope(Flag):
    """Kinds of selections for which a metric exists."""

    RUN = auto()
    POOL = auto()
    CLASS = auto()


EVERYWHERE = Scope.RUN | Scope.POOL | Scope.CLASS
MACHINES = Scope.RUN | Scope.POOL
"""Scope of metrics of replicas: their engine steps do not distinguish classes of traffic."""


class Row(NamedTuple):
    """A line of the table that `cluster-sim run` prints."""

    place: int
    """Position in the table; lines are in ascending order."""
    label: str
    spec: str
    """Format specification of the number, such as `,.1f`."""
    divisor: float = 1.0
    """Number of the metric's units in one unit of the label."""
    has_interval: bool = False
    """Whether the line also shows the metrics `p5_NAME` and `p95_NAME`."""


class Heading(NamedTuple):
    """Heading of a column of the report, with the format of its numbers."""

    text: str
    scale: float = 1.0
    """Factor that turns the metric into the unit of the heading."""
    decimals: int | None = None
    """Number of decimals; None for three significant figures, or all digits of a whole number."""


@dataclass(frozen=True)
class Metric:
    """A field of summary.json.

    The run table, labels of figures, cells of the report, copies of a cluster and samples of a
    fleet are derived from its metrics.
    """

    name: str
    """Key in summary.json."""
    unit: str
    """Unit of the value; `share` for a fraction from 0 to 1, empty for a count."""
    description: str
    """Sentence that defines the metric."""
    compute: Callable[[Selection], Value]
    """Function that returns the value for a selection, or None if the metric does not exist."""
    scope: Scope = EVERYWHERE
    is_extensive: bool = False
    """Whether the value is proportional to the number of copies of a cluster."""
    label: str = ""
    """Label in figures; empty if it is derived from the name."""
    heading: Heading | None = None
    """Heading in the report; None if it is derived from the label."""
    row: Row | None = None
    """Line in the table of `cluster-sim run`; None if the table does not show the metric."""

    def of(self, selection: Selection) -> Value:
        """Return the value for a selection, or None if the metric does not exist."""
        if self.is_of_machines:
            return selection.machines.once(self.compute)
        return self.compute(selection)

    @cached_property
    def is_of_machines(self) -> bool:
        """Whether the metric is computed from replicas alone.

        Such a metric is computed once if one pool has all replicas.
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
        """Return the metric's cell in the run table; a dash if the summary does not have it."""
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
