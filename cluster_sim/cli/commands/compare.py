"""`cluster-sim compare`: variants, clusters of equal cost, or a benchmark and its simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cluster_sim.cli.console import (
    check_folder_of,
    print_estimates,
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
            help="Compare only these with the first of them; repeatable.",
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
            metavar="N",
            help="Run N seeds; with 1, intervals come from batches of one run.",
        ),
    ] = 10,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="FIELD",
            help="Compare this field of summary.json; repeatable.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(
            "--confidence",
            metavar="SHARE",
            min=0.5,
            max=0.9999,
            help="Set the confidence of the intervals.",
        ),
    ] = 0.95,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision",
            metavar="SHARE",
            min=1e-6,
            help="Add seeds until intervals are within this share of the mean.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option("--most", metavar="N", min=3, help="Stop --precision after N replications."),
    ] = 200,
    keep_warmup: Annotated[
        bool,
        typer.Option("--keep-warmup", help="Keep all requests if the file gives no warm-up."),
    ] = False,
    iso: Annotated[
        str | None,
        typer.Option(
            "--iso",
            metavar="cost|power|throughput|slo",
            help="Copy each cluster until all have an equal amount of this.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="QUANTITY",
            help="Set the amount for --iso ('1000 USD/h'); default: the first's.",
            show_default=False,
        ),
    ] = None,
    measured: Annotated[
        list[Path] | None,
        typer.Option(
            "--measured",
            metavar="FILE",
            help="Compare with this result of vllm bench serve or AIPerf; repeatable.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw measured and simulated latencies to this PNG, SVG or PDF.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the table of --iso to this Parquet file.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare variants on identical traffic, with confidence intervals.

    With --iso, clusters of equal cost, power, output or requests within the SLO are compared.
    With --measured, a measured benchmark is printed beside the simulation of FILE, which may be a
    run folder. Several results are repeated measurements. A metric matches if the difference is
    within the noise, which is known for repeated results and for those with single requests
    (--save-detailed, or AIPerf's profile_export.jsonl).
    """
    from cluster_sim.errors import ScenarioError

    asked = _Asked(file, tuple(variant or ()), tuple(set_ or ()), seed)
    if iso is not None:
        _compare_clusters(asked, iso, at, replications, workers, out)
    elif at is not None or out is not None:
        raise ScenarioError.at(
            "--at" if at is not None else "--out", "is only for --iso; add --iso or omit it"
        )
    elif measured:
        _compare_with(measured, asked, metric or (), plot)
    elif plot is not None:
        raise ScenarioError.at("--plot", "is only for --measured; add --measured or omit it")
    else:
        from cluster_sim.loading.files import load_variants
        from cluster_sim.studies.compare import compare as run

        _warn_of_traces(asked)
        with counter("replications") as progress:
            comparison = run(
                file,
                replications,
                metric or (),
                variants=asked.variants,
                sets=asked.sets,
                seed=seed,
                confidence=confidence,
                precision=precision,
                most=most,
                find_warmup=not keep_warmup,
                workers=workers,
                progress=progress,
            )
        _print_comparison(comparison, confidence)
        print_estimates(file, asked.sets, load_variants(file, asked.variants, asked.sets))


class _Asked(NamedTuple):
    """Simulations that a comparison asks for."""

    file: Path
    """Scenario file or run folder."""
    variants: tuple[str, ...]
    """Names of the variants; empty for all variants."""
    sets: tuple[str, ...]
    """`key=value` texts applied to the file."""
    seed: int | None
    """Seed in place of the file's; None for the file's."""


def _compare_clusters(  # noqa: PLR0913 - options of the command
    asked: _Asked,
    iso: str,
    at: str | None,
    replications: int,
    workers: int | None,
    out: Path | None,
) -> None:
    """Print clusters of an equal amount of cost, power, output or requests within the SLO."""
    from cluster_sim.cli.iso_table import iso_table
    from cluster_sim.studies.iso import iso as equal

    check_folder_of(out)
    _warn_of_traces(asked)
    with counter("runs") as progress:
        clusters = equal(
            asked.file,
            iso,
            at,
            replications=replications,
            variants=asked.variants,
            sets=asked.sets,
            seed=asked.seed,
            workers=workers,
            progress=progress,
        )
    stdout().print(iso_table(clusters))
    _print_notes(clusters.notes)
    if out is not None:
        write_table(clusters.table, out)


def _compare_with(
    paths: Sequence[Path], asked: _Asked, metrics: Sequence[str], plot: Path | None
) -> None:
    """Print a measured benchmark beside the simulations, and draw both."""
    from cluster_sim.cli.benchmark_table import draw_beside, print_beside
    from cluster_sim.studies.benchmark_comparison import beside, differences, runs_of
    from cluster_sim.studies.measured_results import measured_results

    check_folder_of(plot)
    measured = measured_results(paths)
    runs = list(runs_of(asked.file, asked.variants, asked.sets, asked.seed))
    notes = (f"{run.scenario.title}: {note}" for run in runs for note in run.info.notes)
    for note in dict.fromkeys(notes):
        warn(note)
    for difference in differences(measured.benchmark, runs):
        warn(difference)
    names = ", ".join(path.name for path in paths)
    print_beside(names, beside(measured, runs, metrics))
    if plot is not None:
        draw_beside(measured, runs, plot)


def _warn_of_traces(asked: _Asked) -> None:
    """Print warnings about the traces of the variants."""
    from cluster_sim.loading.files import load_variants

    warn_of_traces(load_variants(asked.file, asked.variants, asked.sets))


def _print_comparison(comparison: Comparison, confidence: float) -> None:
    """Print the differences of each variant from the first, and the number of replications."""
    console = stdout()
    for name in comparison.variants[1:]:
        console.print(_differences(comparison, name, confidence))
    traffic = (
        f"{comparison.replications} replications"
        if comparison.replications > 1
        else "one run in batches"
    )
    console.print(
        f"{traffic} with common random numbers; omitted warm-up: {comparison.warmup_s or 0.0:,.1f} s",
        highlight=False,
    )
    _print_notes(comparison.notes)


def _print_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        print_line(f"note: {note}")


def _differences(comparison: Comparison, name: str, confidence: float) -> Table:
    """Return the table of one variant's differences from the first, one row per metric."""
    from rich.table import Table

    first = comparison.variants[0]
    table = Table(title=f"{comparison.name}: {name} minus {first}", title_justify="left")
    table.add_column("")
    intervals = (f"{confidence:.0%} interval (t)", f"{confidence:.0%} interval (bootstrap)")
    for heading in (first, name, "difference", *intervals, "p", "verdict", "pairing saves runs"):
        table.add_column(heading, justify="right")
    for difference in comparison.differences:
        if difference.variant == name:
            table.add_row(*_cells(difference))
    return table


def _cells(difference: Difference) -> Iterator[str]:
    """Yield the cells of one difference."""
    yield difference.metric
    yield from (f"{difference.first_mean:,.4g}", f"{difference.mean:,.4g}")
    yield f"{difference.difference:+,.4g}"
    for interval in (difference.t, difference.bootstrap):
        yield f"{interval.low:+,.3g} to {interval.high:+,.3g}"
    yield f"{difference.chance:.2g}"
    yield difference.verdict
    yield "-" if difference.saved == float("inf") else f"x {difference.saved:,.1f}"
