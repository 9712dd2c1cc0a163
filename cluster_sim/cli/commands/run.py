"""`cluster-sim run`: simulate every variant of a scenario file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster_sim.cli.attribution import (
    print_costs,
    print_how_to_attribute,
)
from cluster_sim.cli.console import (
    complain,
    print_estimates,
    print_line,
    print_validation,
    stdout,
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
from cluster_sim.cli.simulated import RunOptions, simulate_and_save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.bursts import InBursts
    from cluster_sim.results.results import Results
    from cluster_sim.results.unanswered import Reason
    from cluster_sim.scenario.scenario import Scenario


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
    options = RunOptions(limits, question, is_live=live, is_attributed=attribute)
    for scenario, place in zip(scenarios, places, strict=True):
        try:
            results = simulate_and_save(scenario, place, options, noted)
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


def _document(scenario: Scenario, summaries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the document of --json: one summary, or the summaries of all variants by name."""
    if scenario.variant:
        return {"name": scenario.name, "variants": summaries}
    return next(iter(summaries.values()))
