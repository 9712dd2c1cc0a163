"""`cluster-sim sensitivity`: the uncertain figures that a result depends on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import check_folder_of, print_line, stdout, warn_of_traces, write_table
from cluster_sim.cli.options import File, Sets, Workers
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.studies.global_sensitivity import Indices
    from cluster_sim.studies.sensitivity import Effect, Sensitivity

_ONE_AT_A_TIME = "one-at-a-time"


def sensitivity(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Use this variant, if the file has several.",
            show_default=False,
        ),
    ] = None,
    set_: Sets = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="FIELD", help="Observe this field of summary.json.")
    ] = "p95_ttft_ms",
    confidence: Annotated[
        str,
        typer.Option(
            "--confidence",
            metavar="low|medium|high",
            help="Vary figures of this confidence and below.",
        ),
    ] = "low",
    spread: Annotated[
        float,
        typer.Option(
            "--spread",
            metavar="SHARE",
            min=1e-3,
            max=0.99,
            help="Vary a figure without a range by this share, up and down.",
        ),
    ] = 0.2,
    replications: Annotated[
        int,
        typer.Option("--replications", metavar="N", min=1, help="Take the mean of N seeds."),
    ] = 1,
    most: Annotated[
        int, typer.Option("--most", metavar="N", min=1, help="Print at most N figures.")
    ] = 20,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write every figure to this Parquet file.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="one-at-a-time|morris|sobol",
            help="Vary figures one by one, or all together (morris, sobol).",
        ),
    ] = _ONE_AT_A_TIME,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            metavar="N",
            min=2,
            help="Use N trajectories (morris) or N base samples (sobol).",
        ),
    ] = 16,
) -> None:
    """Rank the uncertain catalog figures by their effect on a result.

    By default each figure alone is set to either end of its range. The methods morris and sobol
    vary all figures together.
    """
    from cluster_sim.loading.files import load_variants
    from cluster_sim.studies.uncertain_figures import CONFIDENCES

    check_folder_of(out)
    _check_choice("confidence", confidence, CONFIDENCES)
    _check_choice("method", method, (_ONE_AT_A_TIME, "morris", "sobol"))
    warn_of_traces(load_variants(file, [variant] if variant else (), set_ or ()))
    if method == _ONE_AT_A_TIME:
        from cluster_sim.studies.sensitivity import sensitivity as run

        with counter("runs") as progress:
            effects = run(
                file,
                variant,
                metric,
                confidence=confidence,
                spread=spread,
                replications=replications,
                sets=set_ or (),
                workers=workers,
                progress=progress,
            )
        _print_effects(effects, most, confidence)
        table = effects.table
    else:
        from cluster_sim.studies.global_sensitivity import indices

        with counter("runs") as progress:
            ranked = indices(
                file,
                method,
                variant,
                metric,
                confidence=confidence,
                spread=spread,
                samples=samples,
                replications=replications,
                sets=set_ or (),
                workers=workers,
                progress=progress,
            )
        _print_indices(ranked, most)
        table = ranked.table
    if out is not None:
        write_table(table, out)


def _check_choice(option: str, value: str, known: Iterable[str]) -> None:
    """Raise ScenarioError if the value of an option is unknown."""
    from cluster_sim.errors import ScenarioError, did_you_mean

    if value not in (names := tuple(known)):
        raise ScenarioError.at(f"--{option}", f"no {option} '{value}'{did_you_mean(value, names)}")


def _figures_table(title: str, headings: Iterable[str]) -> Table:
    """Return an empty table with columns for a figure and its range, and further columns."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    for heading in ("value", "from", "to", *headings):
        table.add_column(heading, justify="right")
    return table


def _print_effects(effects: Sensitivity, most: int, confidence: str) -> None:
    """Print the figures with the largest effects when varied one at a time."""
    table = _figures_table(
        f"{effects.title}: {effects.metric} is {effects.base:,.4g}",
        ("at the low end", "at the high end", "swing"),
    )
    for effect in effects.effects[:most]:
        table.add_row(*_effect_cells(effect, effects.base))
    console = stdout()
    console.print(table)
    left = len(effects.effects) - most
    more = f"{left:,} more figures have a smaller effect; " if left > 0 else ""
    console.print(
        f"{more}{effects.without:,} figures of {confidence} confidence or below have no effect",
        highlight=False,
    )


def _effect_cells(effect: Effect, base: float) -> tuple[str, ...]:
    from math import isnan

    figure = effect.figure
    ends = ("-" if isnan(end) else f"{end:,.4g}" for end in (effect.at_low, effect.at_high))
    swing = f"{effect.swing / base:.1%}" if base else "-"
    return figure.name, figure.value, str(figure.low), str(figure.high), *ends, swing


def _print_indices(ranked: Indices, most: int) -> None:
    """Print the figures with the largest indices when all figures vary together."""
    title = f"{ranked.title}: {ranked.metric} is {ranked.base:,.4g}; {ranked.runs:,} runs"
    table = _figures_table(title, ranked.columns)
    for figure, numbers in ranked.ranked[:most]:
        about = (figure.name, figure.value, str(figure.low), str(figure.high))
        table.add_row(*about, *(f"{value:,.3g}" for value in numbers))
    console = stdout()
    console.print(table)
    console.print(ranked.meaning, highlight=False, soft_wrap=True)
    for name in ranked.left_out:
        print_line(f"omitted, since not every value of its range is possible: {name}")
