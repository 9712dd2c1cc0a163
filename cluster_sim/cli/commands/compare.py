"""`cluster-sim compare`: variants, clusters of equal cost, or a benchmark beside the simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import (
    check_folder_of,
    print_line,
    stdout,
    warn,
    warn_of_traces,
    write_table,
)
from cluster_sim.cli.options import File, Seed, Sets, Workers
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.studies.comparison import Comparison, Difference


def compare(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Only these, the first to compare with.",
            show_default=False,
        ),
    ] = None,
    set_: Sets = None,
    seed: Seed = None,
    replications: Annotated[
        int,
        typer.Option(
            "--replications",
            min=1,
            help="Seeds; with 1 the error bars come from batches of one run.",
        ),
    ] = 10,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="FIELD",
            help="A field of the summary; may be given again.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.9999, help="Of the intervals.")
    ] = 0.95,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision",
            metavar="SHARE",
            min=1e-6,
            help="Go on until intervals reach no further than this share of the mean.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=3, help="Replications after which --precision gives up.")
    ] = 200,
    keep_warmup: Annotated[
        bool,
        typer.Option("--keep-warmup", help="Leave nothing out where the file gives no warm-up."),
    ] = False,
    iso: Annotated[
        str | None,
        typer.Option(
            "--iso",
            metavar="cost|power|throughput|slo",
            help="Copy each cluster until all have the same of this.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="QUANTITY",
            help="With --iso: how much, such as '1000 USD/h'; default as the first.",
            show_default=False,
        ),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            "--measured",
            metavar="FILE",
            help="A result of vllm bench serve or AIPerf, to lay beside the file or a run folder.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="With --iso: write the table here, as Parquet.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Variants on identical traffic: paired differences with confidence intervals.

    With --iso, clusters of equal cost, power, output or rate; with --measured, a real benchmark beside the simulation.
    """
    from cluster_sim.errors import ScenarioError

    variants, sets, metrics = variant or (), set_ or (), metric or ()
    if iso is not None:
        from cluster_sim.cli.iso_table import iso_table
        from cluster_sim.studies.iso import iso as equal

        check_folder_of(out)
        _warn_of_traces(file, variants, sets)
        with counter("runs") as progress:
            clusters = equal(
                file,
                iso,
                at,
                replications=replications,
                variants=variants,
                sets=sets,
                seed=seed,
                workers=workers,
                progress=progress,
            )
        stdout().print(iso_table(clusters))
        _print_notes(clusters.notes)
        if out is not None:
            write_table(clusters.table, out)
    elif at is not None or out is not None:
        raise ScenarioError.at("--at" if at is not None else "--out", "goes with --iso only")
    elif measured is not None:
        from cluster_sim.cli.benchmark_table import print_beside
        from cluster_sim.export import read
        from cluster_sim.studies.benchmark_comparison import beside, runs_of

        benchmark = read(measured)
        runs = list(runs_of(file, variants, sets, seed))
        notes = (f"{run.scenario.title}: {note}" for run in runs for note in run.info.notes)
        for note in dict.fromkeys(notes):
            warn(note)
        print_beside(measured.name, beside(benchmark, runs, metrics))
    else:
        from cluster_sim.studies.compare import compare as run

        _warn_of_traces(file, variants, sets)
        with counter("replications") as progress:
            comparison = run(
                file,
                replications,
                metrics,
                variants=variants,
                sets=sets,
                seed=seed,
                confidence=confidence,
                precision=precision,
                most=most,
                find_warmup=not keep_warmup,
                workers=workers,
                progress=progress,
            )
        _print_comparison(comparison, confidence)


def _warn_of_traces(file: Path, variants: Sequence[str], sets: Sequence[str]) -> None:
    """Print what is to be said of the traces of a file's variants."""
    from cluster_sim.loading.files import load_variants

    warn_of_traces(load_variants(file, variants, sets))


def _print_comparison(comparison: Comparison, confidence: float) -> None:
    """Print how each variant differs from the first, and on what traffic."""
    console = stdout()
    for name in comparison.variants[1:]:
        console.print(_differences(comparison, name, confidence))
    traffic = (
        f"{comparison.replications} replications"
        if comparison.replications > 1
        else "one run in batches"
    )
    console.print(
        f"{traffic} on common random numbers; warm-up left out: {comparison.warmup_s or 0.0:,.1f} s",
        highlight=False,
    )
    _print_notes(comparison.notes)


def _print_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        print_line(f"note: {note}")


def _differences(comparison: Comparison, name: str, confidence: float) -> Table:
    """Return how one variant differs from the first, metric by metric."""
    from rich.table import Table

    first = comparison.variants[0]
    table = Table(title=f"{comparison.name}: {name} less {first}", title_justify="left")
    table.add_column("")
    intervals = (f"t {confidence:.0%}", f"bootstrap {confidence:.0%}")
    for heading in (first, name, "difference", *intervals, "p", "verdict", "runs saved"):
        table.add_column(heading, justify="right")
    for difference in comparison.differences:
        if difference.variant == name:
            table.add_row(*_cells(difference))
    return table


def _cells(difference: Difference) -> Iterator[str]:
    """Yield one row of the differences."""
    yield difference.metric
    yield from (f"{difference.first_mean:,.4g}", f"{difference.mean:,.4g}")
    yield f"{difference.difference:+,.4g}"
    for interval in (difference.t, difference.bootstrap):
        yield f"{interval.low:+,.3g} to {interval.high:+,.3g}"
    yield f"{difference.chance:.2g}"
    yield difference.verdict
    yield "-" if difference.saved == float("inf") else f"x {difference.saved:,.1f}"
