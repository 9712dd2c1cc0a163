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
            help="Run folders, folders of runs, sweeps, and tables of studies.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="Write this file.")
    ] = Path("report.html"),
    question: Annotated[
        str,
        typer.Option(
            "--question",
            metavar="TEXT",
            help="Set the question; default: the scenario file's first comment.",
            show_default=False,
        ),
    ] = "",
    title: Annotated[
        str,
        typer.Option(
            "--title",
            metavar="TEXT",
            help="Set the title; default: the scenario's name.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Write one HTML page: verdict, charts, tables and sources.

    The page needs no network. Tables of studies are the files that capacity, sensitivity and
    claims write (.parquet, .csv or .json).
    """
    from cluster_sim.cli.console import say_replaced
    from cluster_sim.report import page, studies
    from cluster_sim.results.results import load_runs

    of_studies = [path for path in paths if studies.is_study(path)]
    runs = [results for path in paths if path not in of_studies for results in load_runs(path)]
    tables = [studies.read(path, place) for place, path in enumerate(of_studies)]
    earlier = page.earlier_report(out)
    path = page.write(out, runs, tables, question, title)
    if earlier is not None and path.read_bytes() != earlier.content:
        say_replaced(path, earlier.text)
    print(path)
