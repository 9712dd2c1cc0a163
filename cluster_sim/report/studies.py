"""The part of a page about a study: a sweep's folder, what capacity or sensitivity wrote, or any
table of rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures.rate_latency import rate_axis
from cluster_sim.figures.study_table import Row
from cluster_sim.report.charts import Chart, Line, Series, line, plain
from cluster_sim.report.pictures import Picture, picture
from cluster_sim.report.tables import HEADLINES, Table, heading, of_rows

_EACH = 1000
"""Lines of one study are numbered from here, those of the next from twice as far, so that none has
a run's number."""
_METRICS = ("p99_ttft_ms", "p99_tpot_ms", "p99_e2el_ms", "slo_attainment")
_MOST_CHARTS = 24
_MOST_ROWS = 2000
"""Of a table in a page; all are in the study's own file."""


@dataclass(frozen=True)
class Study:
    """Figures and a table under one heading."""

    heading: str
    text: str
    pictures: list[Picture]
    table: Table
    swings: tuple[tuple[str, float], ...] = ()
    """Of a sensitivity: figures on which the outcome hangs, and by how much of it."""
    charts: list[Chart] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    """What in the charts and the table is shown and hidden together."""


def is_study(path: Path) -> bool:
    """Whether there is a study at `path`, and not a run."""
    return path.is_file() or (path / "sweep.parquet").is_file()


def read(path: Path, place: int = 0) -> Study:
    """The study at `path`: the folder of a sweep, a Parquet file, or rows as CSV or JSON; `place`
    is its own in the page.

    Raises ScenarioError where there is none.
    """
    if path.is_dir():
        return _sweep(path, _EACH * (place + 1))
    rows = _rows(path)
    names = set().union(*rows) if rows else set()
    pictures = [
        drawn
        for name in figures.STUDIES
        if path.suffix == ".parquet" and (drawn := _drawn(name, path)) is not None
    ]
    kind = (
        "Sensitivity"
        if {"swing", "metric"} <= names
        else "Capacity"
        if {"nodes", "front", "good"} <= names
        else path.stem.replace("_", " ").capitalize()
    )
    swings = (
        tuple((str(row["name"]), row["swing"] / abs(row["base"])) for row in rows if row["base"])
        if kind == "Sensitivity"
        else ()
    )
    return Study(
        f"{kind}: {path.stem}",
        _counted(rows, str(path)),
        pictures,
        of_rows(f"All rows of {path.name}", rows[:_MOST_ROWS]),
        swings,
    )


def of_table(heading: str, text: str, rows: list[Mapping[str, Any]]) -> Study:
    """A study of rows that somebody else made, such as a table of claims: names of columns are
    headings, units at their end.
    """
    return Study(heading, text, [], of_rows(heading, rows[:_MOST_ROWS]))


def _sweep(folder: Path, first: int) -> Study:
    table = study.read(folder)
    rows = table.to_pylist()
    done = study.points(table)
    axes = study.varied(done)
    measured = [name for name in HEADLINES if any(row.get(name) is not None for row in rows)]
    columns = [
        *axes,
        *(["replication"] if len({row["replication"] for row in rows}) > 1 else []),
        *measured,
    ]
    if len(done) < len(rows):
        columns += ["status", "reason"]
    more = f" {_counted(rows, str(folder / 'sweep.parquet'))}" if len(rows) > _MOST_ROWS else ""
    text = f"{len(rows):,} points, {len(done):,} of them done.{more}"
    pictures = [drawn for name in figures.STUDIES if (drawn := _drawn(name, folder)) is not None]
    try:
        along = rate_axis(done, axes)
    except ScenarioError:
        return Study(
            f"Sweep: {folder.name}",
            text,
            pictures,
            of_rows("Points of the sweep", rows[:_MOST_ROWS], dict.fromkeys(columns)),
        )
    others = [name for name in axes if name != along]
    by = next((name for name in others if name == "variant"), others[0] if others else None)
    lines = _lines(done, by, first)
    points = of_rows(
        "Points of the sweep",
        rows[:_MOST_ROWS],
        dict.fromkeys(columns),
        [lines[row[by]].number if by else None for row in rows[:_MOST_ROWS]],
    )
    return Study(
        f"Sweep: {folder.name}",
        text,
        pictures,
        points,
        (),
        list(_charts(done, along, by, others, lines)),
        list(lines.values()) if by else [],
    )


def _lines(rows: list[Row], by: str | None, first: int) -> dict[Any, Line]:
    """A line for each value of an axis; one in all without it."""
    values = study.distinct([row[by] for row in rows]) if by else [None]
    return {
        value: line(first + place, place, study.described([by], [value]) if by else "all points")
        for place, value in enumerate(values)
    }


def _charts(
    rows: list[Row], along: str, by: str | None, others: list[str], lines: Mapping[Any, Line]
) -> Iterator[Chart]:
    """Metrics against the rate, a chart for each combination of the other axes; means over
    replications.
    """
    rest = [name for name in others if name != by]
    for values, mine in islice(study.grouped(rows, rest).items(), _MOST_CHARTS // len(_METRICS)):
        for metric in _METRICS:
            drawn = []
            for value, one in lines.items():
                points = _means(
                    [row for row in mine if by is None or row[by] == value], along, metric
                )
                if len(points):
                    x, y = points.T
                    drawn.append(
                        Series(
                            one.label, one.number, one.colour, plain(y), dash=one.dash, x=plain(x)
                        )
                    )
            if drawn:
                share = metric == "slo_attainment"
                rates = [row[along] for row in mine]
                wide = min(rates) > 0 and max(rates) > 5 * min(rates)
                what = ": ".join(
                    part
                    for part in (study.described(rest, values), heading(metric).partition(" [")[0])
                    if part
                )
                yield Chart(
                    f"{what} against {study.label(along).partition(' [')[0]}", study.label(along), heading(metric), drawn, x_log=wide, y_log=not share,
                    y_max=100.0 if share else None,
                )  # fmt: skip


def _means(rows: list[Row], along: str, metric: str) -> np.ndarray:
    """(points, 2): the rate, and the mean over replications in the unit of its heading; where none
    is known there is no point.
    """
    factor = 100.0 if metric == "slo_attainment" else 1.0
    known = study.grouped([row for row in rows if row.get(metric) is not None], [along])
    return np.array(
        [
            (rate, factor * np.mean([row[metric] for row in mine]))
            for (rate,), mine in known.items()
        ],
        dtype=float,
    )


def _counted(rows: list[dict[str, Any]], file: str) -> str:
    return (
        f"The first {_MOST_ROWS:,} of {len(rows):,} rows; all are in {file}."
        if len(rows) > _MOST_ROWS
        else f"{len(rows):,} rows."
    )


def _drawn(name: str, path: Path) -> Picture | None:
    """The figure of this study; None where its table does not have what that draws."""
    try:
        return picture(figures.draw_study(name, path))
    except ScenarioError:
        return None


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        match path.suffix.lower():
            case ".parquet":
                rows = pq.read_table(path).to_pylist()
            case ".csv":
                with path.open(encoding="utf-8", newline="") as file:
                    rows = [
                        {name: _number(value) for name, value in row.items()}
                        for row in csv.DictReader(file)
                    ]
            case ".json":
                rows = json.loads(path.read_text(encoding="utf-8"))
            case _:
                raise ScenarioError.at(
                    str(path),
                    "is no run folder, no sweep's folder and no table; wanted .parquet, .csv or .json",
                )
    except (OSError, pa.ArrowInvalid, ValueError) as fault:
        raise ScenarioError.at(str(path), f"cannot be read as a table: {fault}") from fault
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ScenarioError.at(str(path), "is no table; wanted a list of rows, each a mapping")
    return rows


def _number(text: str | None) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text
