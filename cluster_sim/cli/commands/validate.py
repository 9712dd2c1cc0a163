"""`cluster-sim validate`: errors of predictions against measured serving runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_wrote, stdout, write_text
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from cluster_sim.validation import Prediction


def validate(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Use this CSV file of measurements; default: the catalog's.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write predictions and measurements to this CSV file.",
            show_default=False,
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw predicted over measured to this PNG, SVG or PDF file.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Use N processes.")
    ] = 2,
) -> None:
    """Simulate measured serving runs and print the errors.

    Errors are printed by data set, hardware and model, by data set, and over all runs.
    """
    from cluster_sim import validation

    measurements = validation.read_measurements(data or validation.REFERENCE)
    with counter("simulating", len(measurements.runs)) as progress:
        predictions = validation.predict_all(measurements.runs, workers, progress)
    if out is not None:
        write_text(out, validation.as_csv(predictions))
        say_wrote(out)
    if figure is not None:
        from cluster_sim import figures
        from cluster_sim.figures.parity import parity

        figures.save(parity(validation.points(predictions)), figure)
        say_wrote(figure)
    stdout().print(_errors_table(predictions))
    print_line("\n".join(_closing_lines(predictions, measurements.left_out)))


def _errors_table(predictions: Sequence[Prediction]) -> Table:
    """Return the table of errors by data set, hardware and model, by data set, and overall."""
    from rich.table import Table

    from cluster_sim.validation import METRICS, errors

    table = Table(title="Errors of predictions against measurements", title_justify="left")
    for heading in ("data set", "hardware", "model", "metric"):
        table.add_column(heading)
    for heading in ("runs", "median |error|", "p90 |error|", "bias"):
        table.add_column(heading, justify="right")
    group_above: tuple[str, ...] = ()
    for by in (("dataset", "hardware", "model"), ("dataset",), ()):
        table.add_section()
        for row in errors(predictions, by):
            group = (row.dataset, row.hardware, row.model)
            names = group if group != group_above else ("", "", "")
            cells = (f"{row.count:,}", f"{row.median:.1%}", f"{row.p90:.1%}", f"{row.bias:+.1%}")
            table.add_row(*names, METRICS[row.metric], *cells)
            group_above = group
    return table


def _closing_lines(predictions: Sequence[Prediction], left_out: Mapping[str, int]) -> list[str]:
    """Return lines with the numbers of runs, of failed set-ups and of omitted rows."""
    from cluster_sim.validation import TTFT_RULE

    faults = [prediction.fault for prediction in predictions if prediction.fault]
    simulated = len(predictions) - len(faults)
    lines = [f"{len(predictions):,} runs, {simulated:,} simulated. {TTFT_RULE}"]
    if faults:
        first = faults[0].splitlines()[0]
        lines.append(f"{len(faults):,} could not be set up; the first: {first}")
    if left_out:
        lines.append(f"{sum(left_out.values()):,} rows omitted:")
        lines += [f"  {count:>6,}  {rule}" for rule, count in left_out.items()]
    return lines
