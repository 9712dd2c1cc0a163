"""`cluster-sim claims`: published claims and their verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster_sim.cli.console import print_line, say_wrote, stdout, warn_of_traces
from cluster_sim.cli.options import Workers
from cluster_sim.cli.progress import counter

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.claims.judged import Judged, JudgedReading, Judgement

_RELATIONS = {"about": "", "at_least": "at least ", "at_most": "at most "}
_MARKS = {True: "agrees", False: "differs", None: ""}


def claims(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File of claims.", show_default=False)
    ],
    *,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="NAME",
            help="Judge only this claim; repeatable.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write claims.csv, .json, .parquet and .png to this folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Judge published claims by simulation, physics and measurements.

    A claim may have several readings. Each reading is simulated; the simulated value is printed
    beside the physical limit and measured values.
    """
    from cluster_sim.claims.file import open_claims
    from cluster_sim.claims.judge import claims as run

    warn_of_traces(needed.scenario for needed in open_claims(file).simulated.values())
    with counter("runs") as progress:
        judged = run(file, workers, progress, names=claim or ())
    stdout().print(_table(judged))
    for judgement in judged.judgements:
        print_line(f"{judgement.claim}: {_verdict(judgement)}. {judgement.reason}")
    if out is not None:
        _write(judged, out)


def _table(judged: Judged) -> Table:
    """Return the table of the readings of all claims."""
    from rich.table import Table

    table = Table(title=f"{judged.name}: simulated value of each reading", title_justify="left")
    for heading in ("claim", "claimed", "reading", "simulated", "limit", "measured", ""):
        is_text = heading in ("claim", "reading", "")
        table.add_column(heading, justify="left" if is_text else "right")
    for judgement in judged.judgements:
        table.add_section()
        names = (judgement.claim, _claimed(judgement))
        for reading in judgement.found:
            table.add_row(*names, *_cells(reading))
            names = ("", "")
    return table


def _claimed(judgement: Judgement) -> str:
    from cluster_sim.claims.rounded import Rounded

    if judgement.claimed is None:
        return "-"
    unit = f" {judgement.unit}" if judgement.unit else ""
    return f"{_RELATIONS[judgement.relation]}{Rounded(judgement.claimed)}{unit}"


def _cells(reading: JudgedReading) -> tuple[str, ...]:
    """Return the cells of one reading."""
    from cluster_sim.claims.rounded import Rounded

    limit = "-" if reading.limit is None else f"{Rounded(reading.limit)}"
    measured = ", ".join(f"{Rounded(value)}" for value in reading.measured) or "-"
    return reading.reading, f"{Rounded(reading.found)}", limit, measured, _MARKS[reading.agrees]


def _verdict(judgement: Judgement) -> str:
    """Return the verdict of a claim in words."""
    if judgement.verdict == "holds if":
        return f"holds if it means {judgement.condition}"
    return "no figure is claimed" if judgement.verdict == "no figure" else judgement.verdict


def _write(judged: Judged, folder: Path) -> None:
    """Write the readings as tables and as a figure, and the judgements as JSON."""
    from cluster_sim import figures

    table = judged.save(folder)
    say_wrote(table)
    picture = figures.save(figures.draw_study("claims", table), folder / "claims.png")
    say_wrote(picture)
