"""`cluster-sim best`: the best points of a sweep that meet the SLO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster_sim.cli.options import Where, conditions


def best(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", help="Folder of a sweep, or its table.", show_default=False
        ),
    ],
    *,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Use this column to order points; default: cost, or goodput.",
            show_default=False,
        ),
    ] = None,
    where: Where = None,
) -> None:
    """Print the best points of a sweep that meet the SLO.

    Each has its cost, the limit nearest to its latencies, and its fullest resource.
    If no point meets the SLO, the nearest ones are printed with what they miss.
    """
    from cluster_sim.cli.best_table import print_best
    from cluster_sim.figures import axis_names, study_table

    table, pools = study_table.read(study), axis_names.pools_of(study)
    column = None if by is None else axis_names.column(by, table, pools, "--by")
    print_best(study, axis_names.narrowed(table, conditions(where), pools), column)
