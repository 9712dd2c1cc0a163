"""`cluster-sim report`: runs and studies as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Run folders, or folders of them; folders of sweeps; tables of capacity, sensitivity or claims (.parquet, .csv, .json).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The page.")] = Path(
        "report.html"
    ),
    question: Annotated[
        str,
        typer.Option(
            "--question",
            metavar="TEXT",
            help="Default: the comment at the top of the scenario file.",
            show_default=False,
        ),
    ] = "",
    title: Annotated[
        str,
        typer.Option(
            "--title", metavar="TEXT", help="Default: the scenario's name.", show_default=False
        ),
    ] = "",
) -> None:
    """One HTML page that opens offline: verdict, charts, tables, sources and how to reproduce."""
    from cluster_sim.report import page, studies
    from cluster_sim.results.results import load_runs

    of_studies = [path for path in paths if studies.is_study(path)]
    runs = [results for path in paths if path not in of_studies for results in load_runs(path)]
    tables = [studies.read(path, place) for place, path in enumerate(of_studies)]
    print(page.write(out, runs, tables, question, title))
