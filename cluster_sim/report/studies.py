"""The part of a page about a study: a sweep's folder, what capacity or sensitivity wrote, or any table of rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim import figures
from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study
from cluster_sim.report.cells import HEADLINES, Table, of_rows
from cluster_sim.report.pictures import Picture, picture

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


def is_study(path: Path) -> bool:
    """Whether there is a study at `path`, and not a run."""
    return path.is_file() or (path / "sweep.parquet").is_file()


def read(path: Path) -> Study:
    """The study at `path`: the folder of a sweep, a Parquet file, or rows as CSV or JSON. Raises ScenarioError where there is none."""
    if path.is_dir():
        return _sweep(path)
    rows = _rows(path)
    names = set().union(*rows) if rows else set()
    pictures = [drawn for name in figures.STUDIES if path.suffix == ".parquet" and (drawn := _drawn(name, path)) is not None]
    kind = "Sensitivity" if {"swing", "metric"} <= names else "Capacity" if {"nodes", "front", "good"} <= names else path.stem.replace("_", " ").capitalize()
    swings = tuple((str(row["name"]), row["swing"] / abs(row["base"])) for row in rows if row["base"]) if kind == "Sensitivity" else ()
    return Study(f"{kind}: {path.stem}", _counted(rows, str(path)), pictures, of_rows(f"All rows of {path.name}", rows[:_MOST_ROWS]), swings)


def of_table(heading: str, text: str, rows: list[Mapping[str, Any]]) -> Study:
    """A study of rows that somebody else made, such as a table of claims: names of columns are headings, units at their end."""
    return Study(heading, text, [], of_rows(heading, rows[:_MOST_ROWS]))


def _sweep(folder: Path) -> Study:
    table = study.read(folder)
    rows = table.to_pylist()
    done = study.points(table)
    axes = study.varied(done)
    measured = [name for name in HEADLINES if any(row.get(name) is not None for row in rows)]
    columns = [*axes, *(["replication"] if len({row["replication"] for row in rows}) > 1 else []), *measured]
    if len(done) < len(rows):
        columns += ["status", "reason"]
    pictures = [drawn for name in ("rate_latency", "heatmap") if (drawn := _drawn(name, folder)) is not None]
    text = f"{len(rows):,} points, {len(done):,} of them done. {_counted(rows, str(folder / 'sweep.parquet'))}"
    return Study(f"Sweep: {folder.name}", text, pictures, of_rows("Points of the sweep", rows[:_MOST_ROWS], dict.fromkeys(columns)))


def _counted(rows: list[dict[str, Any]], file: str) -> str:
    return f"The first {_MOST_ROWS:,} of {len(rows):,} rows; all are in {file}." if len(rows) > _MOST_ROWS else f"{len(rows):,} rows."


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
                    rows = [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]
            case ".json":
                rows = json.loads(path.read_text(encoding="utf-8"))
            case _:
                raise ScenarioError.at(str(path), "is no run folder, no sweep's folder and no table; wanted .parquet, .csv or .json")
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
