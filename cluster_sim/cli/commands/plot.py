"""`cluster-sim plot`: one figure from runs or from a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line
from cluster_sim.cli.options import Where, conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.results import Results


def plot(  # noqa: PLR0913 - a parameter is an option of the command
    figure: Annotated[
        str | None,
        typer.Argument(
            metavar="FIGURE", help="Name of the figure; see --list.", show_default=False
        ),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            help="Run folders, folders of runs, or one study (folder or table).",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write this PNG, SVG or PDF file; default: FIGURE.png.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="COLUMN",
            help="Draw this column of a sweep; repeatable.",
            show_default=False,
        ),
    ] = None,
    x: Annotated[
        str | None,
        typer.Option(
            "--x",
            metavar="COLUMN",
            help="Use this axis or column of a sweep as the x axis.",
            show_default=False,
        ),
    ] = None,
    y: Annotated[
        str | None,
        typer.Option(
            "--y",
            metavar="COLUMN",
            help="Use this axis of a sweep as the y axis of a heatmap.",
            show_default=False,
        ),
    ] = None,
    where: Where = None,
    style: Annotated[
        str,
        typer.Option(
            "--style",
            metavar="readme|paper|slide",
            help="Set width and text size for this use.",
        ),
    ] = "readme",
    list_: Annotated[
        bool, typer.Option("--list", help="List the figures, their purpose and their input.")
    ] = False,
) -> None:
    """Draw one figure from run folders or from the table of a study.

    Several runs are drawn in one figure.
    """
    from cluster_sim import figures
    from cluster_sim.errors import ScenarioError
    from cluster_sim.figures import purposes, study_table

    if list_ or figure is None:
        for line in purposes.listed():
            print_line(line)
        return
    if figure in figures.STUDIES:
        columns = study_table.Choice(x, y, tuple(metric or ()))
        drawn = figures.draw_study(
            figure, _study(figure, runs or ()), columns, conditions(where), style
        )
    elif figure in figures.NAMES and runs and (metric or x or y or where):
        raise ScenarioError.at(
            "plot",
            f"{figure} is drawn from runs; --metric, --x, --y and --where are only for {', '.join(figures.STUDIES)}",
        )
    else:
        drawn = figures.draw(figure, _runs(figure, runs or ()), style)
    print(figures.save(drawn, out or Path(f"{figure}.png")))


def _study(figure: str, paths: Sequence[Path]) -> Path:
    """Return the path of the study that a figure is drawn from."""
    from cluster_sim.errors import ScenarioError

    if len(paths) != 1:
        raise ScenarioError.at(
            "plot",
            f"{figure} is drawn from one study; got {len(paths)} paths; expected its folder or Parquet file",
        )
    return paths[0]


def _runs(figure: str, paths: Sequence[Path]) -> list[Results]:
    """Return all runs in the folders that a figure is drawn from."""
    from cluster_sim import figures
    from cluster_sim.errors import ScenarioError, did_you_mean
    from cluster_sim.results.results import load_runs

    if figure not in figures.NAMES:
        raise ScenarioError.at(
            "plot",
            f"no figure '{figure}'{did_you_mean(figure, (*figures.NAMES, *figures.STUDIES))}",
        )
    if not paths:
        raise ScenarioError.at("plot", "got no run folder; expected one or more")
    return [results for path in paths for results in load_runs(path)]
