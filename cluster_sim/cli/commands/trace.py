"""`cluster-sim trace`: what a run did, over time, for ui.perfetto.dev."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.options import RunFolder


def trace(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Default: NAME.pftrace, as the folder is called.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """What every replica, transfer and request of a run did, as a trace that ui.perfetto.dev opens."""  # noqa: D401 - the command's help
    from cluster_sim.export.trace import write

    print(write(run, out or Path(f"{run.resolve().name}.pftrace")))
