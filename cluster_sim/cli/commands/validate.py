"""`cluster-sim validate`: errors of predictions against measured serving runs."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_wrote, stdout, write_text
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from cluster_sim.validation import Measurements, Prediction

_FITS = {"all": "", "yes": "all in a fit", "no": "all in no fit"}
"""Names of groups of values by whether a constant was fitted to them."""


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
    if out is not None:
        write_text(out, validation.as_csv(predictions))
        say_wrote(out)
    if markdown is not None:
        write_text(markdown, validation.as_markdown(predictions))
        say_wrote(markdown)
    if write:
        from cluster_sim.deployment.validated_cases import VALIDATED_CASES

        cases = validation.measured_cases(predictions)
        write_text(VALIDATED_CASES, validation.cases_as_csv(cases))
        say_wrote(VALIDATED_CASES)
    if figure is not None:
        from cluster_sim import figures
        from cluster_sim.figures.parity import parity

        figures.save(parity(validation.points(predictions)), figure)
        say_wrote(figure)
    stdout().print(_errors_table(predictions))
    print_line("\n".join(_closing_lines(predictions, measurements)))


def _errors_table(predictions: Sequence[Prediction]) -> Table:
    """Return the table of errors by data set, hardware and model, by data set, and overall."""
    from rich.table import Table

    from cluster_sim.validation import METRICS, errors

    table = Table(title="Errors of predictions against measurements", title_justify="left")
    for heading in ("data set", "hardware", "model", "release", "metric"):
        table.add_column(heading)
    for heading in ("values", "in a fit", "median |error|", "p90 |error|", "bias"):
        table.add_column(heading, justify="right")
    group_above: tuple[str, ...] = ()
    for by in (("dataset", "hardware", "model"), ("dataset",), ("release",), ("fit",), ()):
        table.add_section()
        for row in errors(predictions, by):
            group = (_FITS[row.fit] or row.dataset, row.hardware, row.model, row.release)
            names = group if group != group_above else ("", "", "", "")
            counts = (f"{row.count:,}", f"{row.fitted:,}")
            shares = (f"{row.median:.1%}", f"{row.p90:.1%}", f"{row.bias:+.1%}")
            table.add_row(*names, METRICS[row.metric], *counts, *shares)
            group_above = group
    return table


def _closing_lines(predictions: Sequence[Prediction], measurements: Measurements) -> list[str]:
    """Return lines with the numbers of runs, of failed set-ups and of omitted rows."""
    from cluster_sim.validation import TTFT_RULE

    faults = Counter(_reason(prediction) for prediction in predictions if prediction.fault)
    failed = sum(faults.values())
    lines = [f"{len(predictions):,} runs, {len(predictions) - failed:,} simulated. {TTFT_RULE}"]
    if faults:
        lines.append(f"{failed:,} could not be set up:")
        lines += [f"  {count:>6,}  {reason}" for reason, count in faults.most_common()]
    if unset := measurements.unset:
        lines.append(
            f"{sum(unset.values()):,} values not compared, because a setting of the engine changes them "
            "and the profile does not have it:"
        )
        lines += [f"  {count:>6,}  {setting}" for setting, count in unset.items()]
    if left_out := measurements.left_out:
        lines.append(f"{sum(left_out.values()):,} rows omitted:")
        lines += [f"  {count:>6,}  {rule}" for rule, count in left_out.items()]
    return lines


def _reason(prediction: Prediction) -> str:
    """Return the reason why a run cannot be set up, without its name and its numbers."""
    text = prediction.fault.splitlines()[0]
    text = text.removeprefix(prediction.measured.name).lstrip(": ")
    return re.sub(r"\b\d+(\.\d+)?\b", "N", text)
