"""`cluster-sim capacity`: the smallest cluster, or the highest rate, that meets the SLO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import (
    check_folder_of,
    print_estimates,
    print_line,
    print_validation,
    stdout,
    warn,
    write_table,
)
from cluster_sim.cli.options import (
    File,
    MemoryLimit,
    Sets,
    TimeLimit,
    Variants,
    Workers,
    run_limits,
)
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.sim.limits import RunLimits
    from cluster_sim.studies.capacity_answer import Answer, Option, Trial

_MOST_FAILURES = 10  # that are printed


def capacity(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    variant: Variants = None,
    set_: Sets = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write every trial to this Parquet file.",
            show_default=False,
        ),
    ] = None,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Find the smallest cluster, or the highest rate, that meets the SLO.

    With capacity.rate in the file, or --set capacity.rate='5 /s', the smallest number of nodes
    for this mean rate is searched. Without it, the highest mean rate of the file's nodes is. Each
    variant and each combination of capacity.axes has its own answer. The next smaller and the next
    larger trial are printed above and below each answer.

    With capacity.for: nodes_under_cap, more nodes are tried under the power caps of the site, with
    as much more traffic.
    """
    from cluster_sim.loading.files import open_scenarios
    from cluster_sim.studies.capacity import capacity as run

    limits = run_limits(time_limit, memory_limit)
    check_folder_of(out)
    asked = open_scenarios(file, set_ or ()).capacity
    if asked is not None and asked.for_ is not None:
        _print_nodes_under_cap(file, set_, variant, workers, limits, out)
        return
    with counter("options") as progress:
        answer = run(file, set_ or (), variant or (), workers, progress, limits)
    for note in answer.notes:
        warn(note)
    console = stdout()
    console.print(_table(answer))
    print_line(_question(answer))
    for option in answer.options:
        print_line(_sentence(answer, option))
    if answer.counts_nodes_alike:
        console.print(
            "nodes of all kinds count equally; give prices of all pools, or capacity.usd_per_node_hour, to compare clusters by cost",
            highlight=False,
            soft_wrap=True,
        )
    _print_estimates(file, set_ or (), variant or ())
    if out is not None:
        write_table(answer.table, out)
    _end(answer)


def _print_nodes_under_cap(  # noqa: PLR0913 - the options of the command
    file: Path,
    sets: Sequence[str] | None,
    variants: Sequence[str] | None,
    workers: int | None,
    limits: RunLimits,
    out: Path | None,
) -> None:
    """Print and write how many more nodes fit under the power caps."""
    from cluster_sim.cli.under_cap import print_under_cap
    from cluster_sim.studies.nodes_under_cap import nodes_under_cap
    from cluster_sim.studies.objectives import notes

    with counter("trials") as progress:
        answer = nodes_under_cap(file, sets or (), variants or (), workers, progress, limits)
    for note in notes(answer.objectives):
        warn(note)
    print_under_cap(answer)
    _print_estimates(file, sets or (), variants or ())
    if out is not None:
        write_table(answer.table, out)
    if any(trial.fault for option in answer.options for trial in option.trials):
        raise typer.Exit(1)


def _print_estimates(file: Path, sets: Sequence[str], variants: Sequence[str]) -> None:
    """Print how well the deployments are validated, and the estimates that the answer rests on.

    A file whose scenarios are whole only with the values of `capacity.axes` gets no line.
    """
    from contextlib import suppress

    from cluster_sim.errors import ScenarioError
    from cluster_sim.loading.files import load_variants

    with suppress(ScenarioError):
        scenarios = load_variants(file, variants, sets)
        print_validation(scenarios)
        print_estimates(file, sets, scenarios)


def _end(answer: Answer) -> None:
    """Print why trials failed; exit with code 1 if any failed."""
    trials = [trial for option in answer.options for trial in option.trials]
    failures = [trial for trial in trials if trial.fault]
    for trial in failures[:_MOST_FAILURES]:
        print_line(f"failed: {trial.nodes:,} nodes at {trial.rate_per_s:.4g} /s: {trial.fault}")
    if failures:
        print_line(
            f"{len(failures):,} of {len(trials):,} trials failed and count as missing the SLO"
        )
        raise typer.Exit(1)


def _table(answer: Answer) -> Table:
    """Return the table of the options: each answer between the trials next to it."""
    from rich.table import Table

    from cluster_sim.results.metrics.verdict_text import percentile_text

    asked = (
        "the highest rate" if answer.rate_per_s is None else f"{answer.rate_per_s:,.6g} requests/s"
    )
    at = (
        "each objective's own percentile"
        if answer.percentile is None
        else percentile_text(answer.percentile)
    )
    table = Table(
        title=f"{answer.name}: {asked} at {at}; *: no other is both cheaper and faster",
        title_justify="left",
    )
    names = answer.objectives
    latencies = [f"{name} [ms]" for name in names]
    table.add_column("")
    for heading in ("nodes", "replicas", "requests/s", *latencies, "margin", "USD/h", ""):
        table.add_column(heading, justify="right")
    front = [id(trial) for _, trial in answer.front]
    for option in answer.options:
        table.add_section()
        for trial in (option.smaller, option.answer, option.bigger):
            if trial is not None:
                mark = "*" if id(trial) in front else ""
                style = "bold" if trial is option.answer else ""
                table.add_row(option.title, *_cells(trial, names), mark, style=style)
    return table


def _cells(trial: Trial, names: Sequence[str]) -> Iterator[str]:
    """Yield the cells of a trial."""
    yield from (f"{trial.nodes:,}", f"{trial.replicas:,}", f"{trial.rate_per_s:,.4g}")
    for name in names:
        yield f"{1e3 * trial.latencies_s[name]:,.4g}" if name in trial.latencies_s else "-"
    yield "failed" if trial.fault else f"{trial.margin:+.1%}"
    yield "-" if trial.usd_per_hour is None else f"{trial.usd_per_hour:,.2f}"


def _question(answer: Answer) -> str:
    """Return what was searched, and how to search the other quantity."""
    if answer.rate_per_s is None:
        return "searched: the highest mean rate on the nodes of the file, since it has no capacity.rate; --set capacity.rate='5 /s' searches the smallest cluster for a rate"
    rate = f"{answer.rate_per_s:,.6g}"
    return f"searched: the smallest cluster for a mean rate of {rate} requests/s, since capacity.rate is given; without it, the highest rate on the nodes of the file"


def _sentence(answer: Answer, option: Option) -> str:
    """Return the answer for an option as a sentence."""
    if option.fault:
        return f"{option.title}: {option.fault}"
    if option.answer is not None:
        nodes = f"{option.answer.nodes:,} nodes"
        rates = "" if option.rates is None else f"; {option.rates}"
        if answer.rate_per_s is None:
            return f"{option.title}: {option.answer.rate_per_s:,.4g} requests/s on {nodes}{rates}"
        return f"{option.title}: {nodes}{rates}"
    if answer.rate_per_s is None:
        return f"{option.title}: no rate that was tried meets the SLO"
    most = max(trial.nodes for trial in option.trials)
    return f"{option.title}: no cluster of up to {most:,} nodes meets the SLO"
