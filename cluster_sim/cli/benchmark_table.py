"""Table of a measured benchmark beside its simulations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_sim.cli.console import print_line, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.results.results import Results
    from cluster_sim.studies.benchmark_comparison import Beside, Measurement
    from cluster_sim.studies.measured_results import MeasuredResults


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
        "All columns use the benchmark client's definitions of metrics and percentiles. error = (simulated - measured) / measured."
        + (
            " noise = the difference that chance alone exceeds once in twenty times."
            if _has_noise(measurement)
            else ""
        ),
        highlight=False,
    )
    if measurement.without:
        print_line(f"not simulated: {', '.join(measurement.without)}")
    for place, run in enumerate(measurement.names):
        print_line(_verdict(measurement, place, run))


def _verdict(measurement: Measurement, place: int, run: str) -> str:
    """Return the line on the metrics of one simulation that match."""
    judged = {row.metric: row.matches[place] for row in measurement.rows}
    known = [metric for metric, matches in judged.items() if matches is not None]
    if not known:
        return f"{run}: the noise of one result without single requests is unknown, so no metric is judged; give repeated results, or one with --save-detailed"
    differing = [metric for metric in known if not judged[metric]]
    within = f"{run}: {len(known) - len(differing)} of {len(known)} metrics are within the noise"
    return f"{within}; not {', '.join(differing)}" if differing else within


def draw_beside(measured: MeasuredResults, runs: Sequence[Results], path: Path) -> None:
    """Draw the latencies of measured and simulated requests to a file.

    Raises ScenarioError if no result has latencies of single requests.
    """
    from cluster_sim import figures
    from cluster_sim.errors import ScenarioError
    from cluster_sim.export.request_latencies import KINDS, of_run
    from cluster_sim.figures.measured_latencies import Curves

    if not measured.latencies:
        raise ScenarioError.at(
            "--plot",
            "got no result with latencies of single requests; expected one of vllm bench serve --save-detailed, or AIPerf's profile_export.jsonl beside it",
        )
    several = len(measured.latencies) > 1
    shown = [
        Curves(
            f"measured {number}" if several else "measured",
            is_measured=True,
            values_s={kind: each.of(kind) for kind in KINDS},
        )
        for number, each in enumerate(measured.latencies, start=1)
    ]
    for run in runs:
        latencies = of_run(run)
        shown.append(
            Curves(
                run.scenario.title,
                is_measured=False,
                values_s={kind: latencies.of(kind) for kind in KINDS},
            )
        )
    print_line(str(figures.save(figures.draw_measured(shown), path)))


def _table(name: str, measurement: Measurement) -> Table:
    from rich.table import Table

    client = measurement.benchmark.client
    title = f"{name}, measured by {client}, beside the simulation"
    table = Table(title=title, title_justify="left")
    heads = ("error", "noise") if _has_noise(measurement) else ("error",)
    pairs = [heading for run in measurement.names for heading in (run, *heads)]
    for heading in ("", "measured", *pairs):
        table.add_column(heading, justify="right" if heading else "left")
    for row in measurement.rows:
        table.add_row(*_cells(row, has_noise=_has_noise(measurement)))
    return table


def _has_noise(measurement: Measurement) -> bool:
    """Return whether the noise of any metric is known."""
    return any(noise is not None for row in measurement.rows for noise in row.noise)


def _cells(row: Beside, *, has_noise: bool) -> Iterator[str]:
    """Yield the metric, its measured value, and each simulated value with error and noise."""
    yield from (row.metric, f"{row.measured:,.5g}")
    for value, error, noise in zip(row.simulated, row.errors, row.noise, strict=True):
        yield from (f"{value:,.5g}", "-" if isnan(error) else f"{error:+.1%}")
        if has_noise:
            yield "-" if noise is None or not row.measured else f"± {abs(noise / row.measured):.1%}"
