"""Reader of tables of any kind for a page: Parquet, CSV or JSON."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import read_json


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table in a file.

    Parameters
    ----------
    path
        File of a table: .parquet, .csv (numbers are parsed) or .json (a list of objects).

    Returns
    -------
    list
        Rows, each a mapping by column.

    Raises
    ------
    ScenarioError
        The file cannot be read, or it holds no table.
    """
    try:
        rows = _read(path)
    except ScenarioError:
        raise
    except (OSError, pa.ArrowInvalid, ValueError) as fault:
        raise ScenarioError.at(str(path), f"cannot be read as a table: {fault}") from fault
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ScenarioError.at(str(path), "got no table; expected a list of rows, each a mapping")
    return rows


def _read(path: Path) -> Any:
    """Return the content of a file."""
    match path.suffix.lower():
        case ".parquet":
            return pq.read_table(path).to_pylist()
        case ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                return [
                    {name: _number(value) for name, value in row.items()}
                    for row in csv.DictReader(file)
                ]
        case ".json":
            return read_json(path)
        case _:
            raise ScenarioError.at(
                str(path),
                "is no run folder, no sweep's folder and no table; expected .parquet, .csv or .json",
            )


def _number(text: str | None) -> float | str | None:
    """Return the content of a cell: a number, a text, or None if the cell is empty."""
    try:
        return float(text) if text else None
    except ValueError:
        return text
