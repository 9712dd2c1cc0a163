"""Tables of a page: cells with their texts and the values that they are sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cluster_sim.figures import study_table as study
from cluster_sim.results.metrics.metric import Heading
from cluster_sim.results.metrics.table import METRICS

HEADLINES = (
    "slo_met",
    "slo_attainment",
    "median_ttft_ms",
    "p99_ttft_ms",
    "median_tpot_ms",
    "p99_tpot_ms",
    "p99_e2el_ms",
    "request_throughput",
    "request_goodput",
    "output_throughput",
    "kv_peak_fraction",
    "availability",
    "mean_replicas",
    "energy_j_per_output_token",
    "usd_per_hour",
    "usd_per_million_output_tokens",
    "offered_load",
    "attempts_per_request",
    "wasted_share",
    "completed",
    "failed",
    "rejected",
)
"""Metrics of the first table of a page."""


@dataclass(frozen=True)
class Cell:
    """Cell of a table."""

    text: str
    """Text that is shown."""
    value: float | None = None
    """Number by which rows are sorted; None for a text."""


@dataclass(frozen=True)
class Table:
    """Table that a reader can sort."""

    caption: str
    """Caption above the table."""
    columns: list[str]
    """Headings of the columns."""
    rows: list[list[Cell]]
    """Rows of cells."""
    runs: list[int | None] = field(default_factory=list)
    """Number of the run or line of each row (of each column after the first if `across`). Hiding the
    run hides the row."""
    across: bool = False
    """Whether runs are columns."""

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [
            any(row[place].value is not None for row in self.rows)
            for place in range(len(self.columns))
        ]


def heading(name: str) -> str:
    """Return the heading of a column, with its unit.

    >>> heading("slo_attainment"), heading("p99_ttft_ms"), heading("compute_utilisation"), heading("p5_usd_per_hour")
    ('within SLO [%]', 'TTFT p99 [ms]', 'compute utilisation [%]', 'cost, p5 [USD/h]')
    """
    return _heading(name).text


def cell(name: str, value: Any) -> Cell:
    """Return the cell of a value, in the unit of its column's heading.

    >>> cell("slo_attainment", 0.9214).text, cell("p99_ttft_ms", 10801.66).text, cell("completed", None).text
    ('92.1', '10 802', '–')
    """
    if value is None or value != value:
        return Cell("–")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if not isinstance(value, (int, float)):
        return Cell(str(value))
    heading_of = _heading(name)
    number = heading_of.scale * value
    if heading_of.decimals is not None:
        return Cell(_grouped(f"{number:,.{heading_of.decimals}f}"), number)
    if isinstance(value, int):
        return Cell(_grouped(f"{value:,}"), number)
    return Cell(study.number(number), number)


def _heading(name: str) -> Heading:
    """Return the heading of a metric; for any other column, a heading from its name."""
    if name in METRICS:
        return METRICS[name].report_heading
    statistic, _, rest = name.partition("_")
    if rest in METRICS and (of_metric := METRICS[rest].heading) is not None:
        return of_metric._replace(text=f"{statistic} of {of_metric.text}")
    if name.endswith(("_fraction", "_utilisation", "_attainment")):
        return Heading(f"{study.label(name)} [%]", 100.0, 1)
    return Heading(study.label(name))


def _grouped(text: str) -> str:
    return text.replace(",", " ")


def of_rows(
    caption: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Iterable[str] | None = None,
    lines: Sequence[int | None] = (),
) -> Table:
    """Return a table of any rows; headings are the names of columns with their units.

    Parameters
    ----------
    caption
        Caption of the table.
    rows
        Rows, each a mapping by column.
    columns
        Names of the columns in their order. Default: all columns, in the order of the rows.
    lines
        Number of the run or line that each row is hidden with. Default: rows are never hidden.

    Examples
    --------
    >>> of_rows("Points", [{"p99_ttft_ms": 12.0}]).columns
    ['TTFT p99 [ms]']
    """
    names = (
        list(columns)
        if columns is not None
        else list(dict.fromkeys(name for row in rows for name in row))
    )
    return Table(
        caption,
        [heading(name) for name in names],
        [[cell(name, row.get(name)) for name in names] for row in rows],
        list(lines),
    )
