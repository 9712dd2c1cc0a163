"""`cluster-sim export`: write a run in the format of a benchmark client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import say_wrote
from cluster_sim.cli.options import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.results import Results


def export(
    run: RunFolder,
    *,
    client: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="CLIENT",
            help="Write the files of vllm, aiperf, guidellm or mlperf.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Write to this folder; default: RUN/CLIENT.",
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
    """Write a run in the files of a benchmark client.

    Metrics and percentiles follow the definitions of that client.
    """
    from cluster_sim.results.results import load_results

    check_clients([client])
    write_export(load_results(run), client, out or run / client, detailed=detailed)


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
