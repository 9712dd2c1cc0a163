"""`cluster-sim validate`: errors of predictions against measured serving runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_wrote, stdout, write_text
from cluster_sim.cli.errors_table import closing_lines, errors_table
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.validation import Prediction


def validate(  # noqa: PLR0913 - a parameter is an option of the command
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Use this CSV file of measurements; repeatable; default: the catalog's.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Use these labels of drafts; default: drafting_labels.csv beside FILE.",
            show_default=False,
        ),
    ] = None,
    flags: Annotated[
        Path | None,
        typer.Option(
            "--flags",
            metavar="FILE",
            help="Use these engine settings; default: engine_flags.csv beside FILE.",
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
    markdown: Annotated[
        Path | None,
        typer.Option(
            "--markdown",
            metavar="FILE",
            help="Write the errors as a Markdown table to this file.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Use N processes.")
    ] = 2,
    *,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the cases into the catalog, in place of its table."),
    ] = False,
) -> None:
    """Simulate measured serving runs and print the errors.

    Errors are printed by data set, hardware and model, by data set, by engine release, and over all
    runs: those to which a constant was fitted, the others, and both. --write makes the catalog's
    table of measured cases, from which `run` says how well a scenario like its own was predicted.
    """
    from cluster_sim import validation

    measurements = validation.read_measurements(data or validation.REFERENCE, labels, flags)
    with counter("simulating", len(measurements.runs)) as progress:
        predictions = validation.predict_all(measurements.runs, workers, progress)
    _write(predictions, out, markdown)
    if write:
        _write_cases(predictions)
    if figure is not None:
        from cluster_sim import figures
        from cluster_sim.figures.parity import parity

        figures.save(parity(validation.points(predictions)), figure)
        say_wrote(figure)
    stdout().print(errors_table(predictions))
    print_line("\n".join(closing_lines(predictions, measurements)))


def _write(predictions: Sequence[Prediction], out: Path | None, markdown: Path | None) -> None:
    """Write predictions as CSV and their errors as Markdown, where a file is named for them."""
    from cluster_sim import validation

    if out is not None:
        write_text(out, validation.as_csv(predictions))
        say_wrote(out)
    if markdown is not None:
        write_text(markdown, validation.as_markdown(predictions))
        say_wrote(markdown)


def _write_cases(predictions: Sequence[Prediction]) -> None:
    """Write the table of measured cases into the catalog."""
    from cluster_sim import validation
    from cluster_sim.deployment.validated_cases import VALIDATED_CASES

    write_text(VALIDATED_CASES, validation.cases_as_csv(validation.measured_cases(predictions)))
    say_wrote(VALIDATED_CASES)
