"""`cluster-sim claims`: published claims and their verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def claims(  # noqa: PLR0913 - a parameter is an option of the command
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
    long: Annotated[
        bool, typer.Option("--long", help="Print limits, measurements and inputs of each reading.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print everything as one JSON document, no table.")
    ] = False,
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

    A claim may have several readings. Each reading is simulated, and its value is printed beside the
    range of its condition in which it agrees with the claim. A verdict names the estimates on which
    it rests, and the uncertain input that changes it first.
    """
    from cluster_sim.claims.file import open_claims
    from cluster_sim.claims.judge import claims as run

    warn_of_traces(needed.scenario for needed in open_claims(file).simulated.values())
    with counter("runs") as progress:
        judged = run(file, workers, progress, names=claim or ())
    if json_:
        from dataclasses import asdict

        print(json.dumps(asdict(judged), indent=2))
    else:
        stdout().print(_table(judged))
        for judgement in judged.judgements:
            print_line("\n".join(_lines(judgement, is_long=long)))
    if out is not None:
        _write(judged, out)


def _table(judged: Judged) -> Table:
    """Return the table of the readings of all claims."""
    from rich.table import Table

    from cluster_sim.claims.rounded import Rounded

    table = Table(title=f"{judged.name}: simulated value of each reading", title_justify="left")
    for heading in ("claim", "reading", "simulated", "", "agrees for"):
        table.add_column(heading, justify="right" if heading == "simulated" else "left")
    for judgement in judged.judgements:
        table.add_section()
        name = f"{judgement.claim}\n{_claimed(judgement)}"
        for reading in judgement.found:
            range_ = "-" if reading.holds_for is None else reading.holds_for.text
            found = f"{Rounded(reading.found)}"
            table.add_row(name, reading.reading, found, _MARKS[reading.agrees], range_)
            name = ""
    return table


def _claimed(judgement: Judgement) -> str:
    from cluster_sim.claims.rounded import Rounded

    if judgement.claimed is None:
        return "no figure"
    unit = f" {judgement.unit}" if judgement.unit else ""
    return f"{_RELATIONS[judgement.relation]}{Rounded(judgement.claimed)}{unit}"


def _lines(judgement: Judgement, *, is_long: bool) -> Iterator[str]:
    """Yield the verdict of a claim with its reason, and what it depends on."""
    yield f"{judgement.claim}: {_verdict(judgement)}. {judgement.reason}"
    if judgement.estimates:
        yield f"  It rests on estimates: {', '.join(judgement.estimates)}."
    if judgement.flips:
        yield f"  It changes first with {judgement.flips}."
    elif any(reading.effects for reading in judgement.found):
        yield "  No uncertain input changes it within its range."
    if is_long:
        for reading in judgement.found:
            yield from _details(reading)


def _details(reading: JudgedReading) -> Iterator[str]:
    """Yield a reading with limit, measurements and the effects of its inputs."""
    from cluster_sim.claims.rounded import Rounded

    texts = [f"{Rounded(reading.found)}"]
    if reading.limit is not None:
        texts.append(f"the hardware allows {Rounded(reading.limit)}")
    if reading.measured:
        texts.append(f"measured {', '.join(f'{Rounded(value)}' for value in reading.measured)}")
    yield f"  {reading.reading}: {'; '.join(texts)}"
    for effect in reading.effects:
        ends = " to ".join(
            "-" if end is None else f"{Rounded(end)}" for end in (effect.at_low, effect.at_high)
        )
        texts = [f"{effect.low} to {effect.high}, {effect.confidence} confidence, give {ends}"]
        if effect.per_10_percent is not None:
            texts.append(f"{100 * effect.per_10_percent:+.2g} % per 10 %")
        if effect.flips_at is not None:
            texts.append(f"the reading changes at {effect.flips_at}")
        yield f"    {effect.input} {effect.value}: {'; '.join(texts)}"


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
