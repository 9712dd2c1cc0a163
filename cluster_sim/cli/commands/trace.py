"""`cluster-sim trace`: a run over time, as a trace for ui.perfetto.dev."""

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
            help="Write this file; default: RUN.pftrace, by the folder's name.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a run as a trace that ui.perfetto.dev opens.

    The trace shows the activity of every replica, transfer and request over time.
    """
    from cluster_sim.export.trace import write

    print(write(run, out or Path(f"{run.resolve().name}.pftrace")))
