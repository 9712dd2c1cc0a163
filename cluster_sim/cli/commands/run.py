"""`cluster-sim run`: simulate every variant of a scenario file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cluster_sim.cli.attribution import (
    attribute_and_save,
    print_costs,
    print_how_to_attribute,
)
from cluster_sim.cli.console import (
    complain,
    print_estimates,
    print_line,
    print_validation,
    say_wrote,
    stderr,
    stdout,
    warn,
    warn_of,
)
from cluster_sim.cli.options import (
    File,
    MemoryLimit,
    Seed,
    Sets,
    TimeLimit,
    Variants,
    run_limits,
)
from cluster_sim.cli.progress import simulation_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.bursts import InBursts
    from cluster_sim.results.results import Results
    from cluster_sim.results.unanswered import Reason
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.sim.limits import RunLimits


def run(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    variant: Variants = None,
    set_: Sets = None,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write run folders here; default: runs/NAME.",
            show_default=False,
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document, no table.")
    ] = False,
    export_: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="CLIENT",
            help="Write files as vllm, aiperf, guidellm or mlperf; repeatable.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Show queue, running requests and tokens/s during the run."),
    ] = False,
    attribute: Annotated[
        bool,
        typer.Option("--attribute", help="Show what heat, caps, contention and failures cost."),
    ] = False,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Simulate every variant; print one table and write run folders."""
    from cluster_sim.cli.commands.export import check_clients, write_export
    from cluster_sim.errors import SummaryError
    from cluster_sim.loading.files import load_variants, question_of
    from cluster_sim.results.run_folder import check_place
    from cluster_sim.schema import folder_name

    check_clients(export_ or ())
    limits = run_limits(time_limit, memory_limit)
    scenarios = load_variants(file, variant or (), set_ or (), seed)
    warn_of(scenarios)
    question = question_of(file) or None
    folder = out or Path("runs") / folder_name(scenarios[0].name)
    places = [folder / folder_name(scenario.variant or "") for scenario in scenarios]
    for place in places:
        check_place(place)
    summaries: dict[str, dict[str, Any]] = {}
    failures: list[Exception] = []
    ended_early: list[str] = []
    noted: set[tuple[str, str]] = set()
    shown = _Shown()
    wanted = _Wanted(limits, question, is_live=live, is_attributed=attribute)
    for scenario, place in zip(scenarios, places, strict=True):
        try:
            results = _saved(scenario, place, wanted, noted)
        except SummaryError as error:
            failures.append(error)
            continue
        name = scenario.variant or scenario.name
        summaries[name] = results.summary()
        shown.add(name, results)
        for client in export_ or ():
            write_export(results, client, place / client)
        runs = [results, *(results.without or {}).values()]
        if any(run.info.stopped is not None for run in runs):
            failures.append(typer.Exit(1))  # the warning says why
        if results.info.stopped is not None:
            ended_early.append(name)
    if summaries and json_:
        print(json.dumps(_document(scenarios[0], summaries), indent=2))
    elif summaries:
        _print_table(scenarios[0], summaries, shown, ended_early)
        print_costs(summaries)
        if not attribute:
            print_how_to_attribute(file, scenarios)
        print_validation(scenarios)
        print_estimates(file, set_ or (), scenarios)
    _fail(failures)


class _Wanted(NamedTuple):
    """Options for every variant."""

    limits: RunLimits
    question: str | None
    """Question of the scenario file."""
    is_live: bool
    """Whether a dashboard is shown."""
    is_attributed: bool
    """Whether the cost of mechanisms is computed."""


def _saved(
    scenario: Scenario, place: Path, wanted: _Wanted, noted: set[tuple[str, str]]
) -> Results:
    """Simulate a scenario and write its run folder; return its results.

    The run is saved before the runs without each mechanism begin, unless the same run stands in the
    folder together with those.
    """
    from cluster_sim.results.run_folder import earlier_run, has_same_run

    results = _simulated(scenario, wanted.limits, is_live=wanted.is_live)
    results = replace(results, info=replace(results.info, question=wanted.question))
    _warn_of_run(results, noted)
    if wanted.is_attributed and has_same_run(results, place, is_attributed=True):
        return attribute_and_save(results, scenario, place, wanted.limits)
    earlier = earlier_run(results, place)
    say_wrote(results.save(place), earlier)
    if wanted.is_attributed:
        return attribute_and_save(results, scenario, place, wanted.limits)
    return results


@dataclass
class _Shown:
    """Facts of each variant that its summary does not have, by the name of the variant."""

    reasons: dict[str, tuple[Reason, ...]] = field(default_factory=dict)
    """Reasons why requests got no answer."""
    bursts: dict[str, InBursts | None] = field(default_factory=dict)
    """Requests that arrive in bursts."""
    scenarios: dict[str, Scenario] = field(default_factory=dict)
    """Scenarios."""

    def add(self, name: str, results: Results) -> None:
        """Compute what is shown of the results of a variant."""
        from cluster_sim.results.bursts import in_bursts
        from cluster_sim.results.unanswered import unanswered

        self.reasons[name] = unanswered(results)
        self.bursts[name] = in_bursts(results)
        self.scenarios[name] = results.scenario


def _warn_of_run(results: Results, noted: set[tuple[str, str]]) -> None:
    """Print notes about a run's trace, and the reason if the run ended early.

    A note about a trace is printed once for all variants that replay the trace. `noted` holds
    the notes that have been printed.
    """
    scenario, info = results.scenario, results.info
    trace = scenario.workload.recorded
    of = scenario.title if trace is None else trace.path
    if results.requests.num_rows == 0:
        warn(
            f"{scenario.title}: no request arrived; expected a higher rate, a longer duration or another seed"
        )
    for note in info.notes:
        if (of, note) not in noted:
            noted.add((of, note))
            warn(f"{scenario.title}: {note}")
    if info.stopped is not None:
        warn(f"{scenario.title}: ended early: {info.stopped}")


def _fail(failures: Sequence[Exception]) -> None:
    """Raise the first failure, and print the messages of all later failures."""
    for failure in failures[1:]:
        if not isinstance(failure, typer.Exit):
            complain(failure)
    if failures:
        raise failures[0]


def _print_table(
    scenario: Scenario,
    summaries: dict[str, dict[str, Any]],
    shown: _Shown,
    ended_early: Sequence[str],
) -> None:
    """Print whether objectives are met, a table, and what helps against rejections and failures."""
    from cluster_sim.cli.run_table import run_table, verdicts
    from cluster_sim.results.unanswered import remedies

    for line in verdicts(summaries, ended_early, shown.bursts):
        print_line(line)
    columns = run_table(scenario.name, summaries, shown.reasons, shown.bursts, shown.scenarios)
    stdout().print(columns)
    for line in remedies([reason for of_run in shown.reasons.values() for reason in of_run]):
        print_line(line)


def _simulated(scenario: Scenario, limits: RunLimits, *, is_live: bool) -> Results:
    """Simulate a scenario with a dashboard (live) or a progress bar; return its results."""
    from cluster_sim.sim.simulate import simulate

    if is_live:
        from cluster_sim.cli.live import watching

        with watching(scenario, stderr()) as watch:
            return simulate(scenario, watch=watch, limits=limits)
    with simulation_bar(scenario) as progress:
        return simulate(scenario, progress, limits=limits)


def _document(scenario: Scenario, summaries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the document of --json: one summary, or the summaries of all variants by name."""
    if scenario.variant:
        return {"name": scenario.name, "variants": summaries}
    return next(iter(summaries.values()))
