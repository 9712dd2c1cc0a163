"""`cluster-sim export`: write a run as a benchmark client would have."""

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
            help="vllm, aiperf, guidellm or mlperf.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Default: RUN/CLIENT.", show_default=False),
    ] = None,
    detailed: Annotated[
        bool,
        typer.Option(
            "--detailed",
            help="With the gaps between the tokens of each request, where the client can write them.",
        ),
    ] = False,
) -> None:
    """What a benchmark client would have written of a run: its files, metrics and percentiles."""  # noqa: D401 - the command's help
    from cluster_sim.results.results import load_results

    check_clients([client])
    write_export(load_results(run), client, out or run / client, detailed=detailed)


def check_clients(clients: Sequence[str]) -> None:
    """Raise ScenarioError for a client whose files cannot be written."""
    if clients:
        from cluster_sim.export import check

        for client in clients:
            check(client)


def write_export(results: Results, client: str, folder: Path, *, detailed: bool = False) -> None:
    """Write the files of a client into a folder, and name them."""
    from cluster_sim import export as clients

    for path in clients.export(results, client, folder, detailed=detailed):
        say_wrote(path)
