"""`cluster-sim export`: a run as the files of a benchmark client, or a scenario as serve arguments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_wrote, warn, write_text
from cluster_sim.cli.options import Sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.results import Results
    from cluster_sim.scenario.scenario import Scenario


def export(  # noqa: PLR0913 - a parameter is an option of the command
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="Run folder; with --emit also a scenario.", show_default=False
        ),
    ],
    *,
    client: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="CLIENT",
            help="Write the files of vllm, aiperf, guidellm or mlperf.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--emit",
            metavar="TARGET",
            help="Print what starts the pools: vllm, trtllm, sglang, llm-d or dynamo.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="Use only this variant.",
            show_default=False,
        ),
    ] = None,
    sets: Sets = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Write to this folder (RUN/CLIENT), or with --emit to this file.",
            show_default=False,
        ),
    ] = None,
    detailed: Annotated[
        bool,
        typer.Option(
            "--detailed",
            help="Write each request's token gaps, if the format has them.",
        ),
    ] = False,
) -> None:
    """Write a run as a client would, or a scenario as serve arguments.

    With --format, metrics and percentiles follow the definitions of that client. With --emit, keys
    that the target has no option for are named in comments and on stderr.
    """
    from cluster_sim.errors import ScenarioError

    if (client is None) == (target is None):
        given = "neither" if client is None else "both"
        raise ScenarioError.at("export", f"got {given}; expected one of --format and --emit")
    if client is None:
        assert target is not None
        write_emitted(_scenario(path, variant, sets or ()), target, out)
        return
    from cluster_sim.results.results import load_results

    if variant is not None or sets:
        option = "--variant" if variant is not None else "--set"
        raise ScenarioError.at(option, "belongs to --emit; a run has its scenario")
    check_clients([client])
    write_export(load_results(path), client, out or path / client, detailed=detailed)


def _scenario(path: Path, variant: str | None, sets: Sequence[str]) -> Scenario:
    """Return the scenario of a run folder, or of a file."""
    from cluster_sim.errors import ScenarioError
    from cluster_sim.loading.files import load_variants

    file = path / "scenario.yaml" if path.is_dir() else path
    names = [] if variant is None else [variant]
    scenarios = load_variants(file, names, sets)
    if len(scenarios) > 1:
        known = ", ".join(str(scenario.variant) for scenario in scenarios)
        raise ScenarioError.at(
            str(file), f"has several variants; expected --variant, one of {known}"
        )
    return scenarios[0]


def write_emitted(scenario: Scenario, target: str, out: Path | None = None) -> None:
    """Write what starts a scenario's pools, and name on stderr what the target has no option for.

    Parameters
    ----------
    scenario
        Scenario with the pools.
    target
        Name of the target, such as "vllm".
    out
        File to write to. Default: stdout.

    Raises
    ------
    ScenarioError
        The target is unknown, or cannot start a pool.
    """
    from cluster_sim.export.deploy import emitted

    made = emitted(scenario, target)
    if made.lost:
        warn(f"{target} has no option for {', '.join(made.lost)}; comments have their values")
    if out is None:
        print_line(made.text.rstrip())
        return
    write_text(out, made.text)
    say_wrote(out)


def check_clients(clients: Sequence[str]) -> None:
    """Check the names of benchmark clients.

    Raises
    ------
    ScenarioError
        A client is not supported.
    """
    if clients:
        from cluster_sim.export import check

        for client in clients:
            check(client)


def write_export(results: Results, client: str, folder: Path, *, detailed: bool = False) -> None:
    """Write the files of a benchmark client, and report each on stderr.

    Parameters
    ----------
    results
        Results of a run.
    client
        Name of the client, such as "vllm".
    folder
        Folder to write to.
    detailed
        Whether to write the gaps between tokens of each request, if the format has them.
    """
    from cluster_sim import export as clients

    for path in clients.export(results, client, folder, detailed=detailed):
        say_wrote(path)
