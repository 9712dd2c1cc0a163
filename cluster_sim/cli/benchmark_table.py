"""Table of a measured benchmark beside its simulations."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING

from cluster_sim.cli.console import print_line, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.studies.benchmark_comparison import Beside, Measurement


def print_beside(name: str, measurement: Measurement) -> None:
    """Print a table of measured and simulated metrics with their errors.

    Parameters
    ----------
    name
        Name of the benchmark's file, for the title.
    measurement
        Metrics of the benchmark and of each simulation.
    """
    console = stdout()
    console.print(_table(name, measurement))
    console.print(
        "All columns use the benchmark client's definitions of metrics and percentiles. error = (simulated - measured) / measured.",
        highlight=False,
    )
    if measurement.without:
        print_line(f"not simulated: {', '.join(measurement.without)}")


def _table(name: str, measurement: Measurement) -> Table:
    from rich.table import Table

    client = measurement.benchmark.client
    title = f"{name}, measured by {client}, beside the simulation"
    table = Table(title=title, title_justify="left")
    pairs = [heading for run in measurement.names for heading in (run, "error")]
    for heading in ("", "measured", *pairs):
        table.add_column(heading, justify="right" if heading else "left")
    for row in measurement.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Beside) -> Iterator[str]:
    """Yield the metric, its measured value, and each simulated value with its error."""
    yield from (row.metric, f"{row.measured:,.5g}")
    for value, error in zip(row.simulated, row.errors, strict=True):
        yield from (f"{value:,.5g}", "-" if isnan(error) else f"{error:+.1%}")
