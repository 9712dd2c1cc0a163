"""`cluster-sim schema`: the JSON Schema of scenario files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.console import write_text


def schema(
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write to this file; default: print.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from cluster_sim.loading.json_schema import json_schema

    text = json.dumps(json_schema(), indent=2)
    if out is None:
        print(text)
    else:
        write_text(out, text + "\n")
