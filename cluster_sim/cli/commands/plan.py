"""`cluster-sim plan`: the deployment that meets the SLO at the lowest cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import (
    print_estimates,
    print_line,
    print_validation,
    say_wrote,
    stdout,
    warn,
)
from cluster_sim.cli.options import (
    Dask,
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
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.studies.planning.answer import PlanAnswer


def plan(  # noqa: PLR0913 - a parameter is an option of the command
    file: File,
    *,
    variant: Variants = None,
    set_: Sets = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            min=1,
            metavar="N",
            help="Simulate at most the requests of N full runs; default: 200.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    dask: Dask = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Store simulations and the winners here; default: plans/NAME.",
            show_default=False,
        ),
    ] = None,
    emit: Annotated[
        str | None,
        typer.Option(
            "--emit",
            metavar="TARGET",
            help="Write what starts the winner: vllm, trtllm, sglang, llm-d or dynamo.",
            show_default=False,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Find the best deployment that meets the SLO.

    The file's `plan` says what may vary and what is wanted: the lowest USD per hour, power or
    number of nodes, or the most goodput. Without it, nodes and tensor parallelism vary, within
    one node. Each variant has its own answer. The same command continues a search that was killed.
    """
    from cluster_sim.cli.plan_table import table
    from cluster_sim.cli.plan_text import Request, as_json, lines
    from cluster_sim.export.deploy import check_target
    from cluster_sim.loading.files import open_scenarios
    from cluster_sim.studies.plan import plan as run
    from cluster_sim.studies.planning.folder import folder_of, keep

    if emit is not None:
        check_target(emit)
    limits = run_limits(time_limit, memory_limit)
    sets = tuple(set_ or ())
    opened = open_scenarios(file, sets)
    asked = opened.plan
    is_scaled = asked is not None and (asked.rate_per_s, asked.percentile) != (None, None)
    folder = out or folder_of(opened)
    with counter("simulations") as progress:
        answer = run(
            file,
            folder,
            sets=sets,
            variants=variant or (),
            budget=budget,
            workers=workers,
            dask=dask,
            limits=limits,
            progress=lambda done: progress(done, 0),
            warned=warn,
        )
    paths, request = keep(answer, folder), Request(file, sets, is_scaled=is_scaled)
    if json_:
        print(json.dumps(as_json(answer, paths, request), indent=2))
    else:
        for chosen in answer.chosen:
            if chosen.simulated:
                stdout().print(table(chosen, answer))
            for line in lines(chosen, answer, paths, request):
                print_line(line)
        _print_trust(answer, file, sets)
    say_wrote(folder)
    for chosen in answer.chosen:
        if emit is not None and chosen.winner is not None:
            _emit(chosen.winner.scenario, emit, paths[id(chosen.winner)].with_suffix(f".{emit}"))


def _emit(scenario: Scenario, target: str, path: Path) -> None:
    """Write what starts a winner on real servers; warn of a winner that the target cannot start."""
    from cluster_sim.cli.commands.export import write_emitted
    from cluster_sim.errors import ScenarioError

    try:
        write_emitted(scenario, target, path)
    except ScenarioError as fault:
        warn(str(fault))


def _print_trust(answer: PlanAnswer, file: Path, sets: tuple[str, ...]) -> None:
    """Print how well the winners are validated, and the estimates that they rest on."""
    winners = [each.winner.scenario for each in answer.chosen if each.winner is not None]
    print_validation(winners)
    print_estimates(file, sets, winners)
