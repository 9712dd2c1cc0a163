"""`cluster-sim workload fetch`: downloads of public traces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.console import stderr


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Traces to download; default: list their names.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Write traces here.")] = Path(
        "traces"
    ),
) -> None:
    """List public traces, or download some."""
    from cluster_sim.workload.traces.public import fetch as download
    from cluster_sim.workload.traces.public import public_trace, public_traces

    if not names:
        for name, trace in public_traces().items():
            print(f"{name}: {trace.name}, {trace.licence}; {trace.attribution}")
    for trace in [public_trace(name) for name in names or ()]:
        with stderr().status(f"fetching {trace.name}"):
            path = download(trace, out)
        print(f"{trace.name}: {trace.licence}; cite {trace.attribution}", file=sys.stderr)
        print(path)
