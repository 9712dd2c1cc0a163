"""CSV files with a number for every hour of a day or of a year."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.facility.begins import HOURS_PER_YEAR
from cluster_sim.schema import find, read_text

HOURS_PER_DAY = 24


def find_csv(path: str, holds: str) -> str:
    """Return the absolute path of a file. Raises ValueError if there is no such file."""
    found = find(path)
    if found is None:
        raise ValueError(f"no file {shown(path)}; expected {holds}")
    return str(found)


def csv_rows(path: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV file that are not empty."""
    for row in csv.reader(read_text(Path(path)).lstrip("\ufeff").splitlines()):
        if any(cell.strip() for cell in row):
            yield [cell.strip() for cell in row]


def number_in(path: str, line: int, column: str, cell: str) -> float:
    """Return the number in a cell. Raises ScenarioError for a cell without a finite number."""
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ScenarioError.at(
            f"{path}:{line}", f"{column}: got {shown(cell)}; expected a finite number"
        )
    return value


def hourly_values(path: str, factors: Mapping[str, float]) -> tuple[float, ...]:
    """Return the values of a CSV file by hour, from 1 January, 00:00, or from 00:00 of any day.

    Parameters
    ----------
    path
        File with a heading, and 24 rows for a day or 8,760 for a year.
    factors
        Names that the column may have, with the factor that turns its numbers into the unit.

    Raises
    ------
    ScenarioError
        The file has no such column, another number of rows, or a cell that is no number.
    """
    heading, *rows = list(csv_rows(path)) or [[]]
    name = next((name for name in factors if name in heading), None)
    if name is None:
        raise ScenarioError.at(
            f"{path}:1",
            f"got the columns {', '.join(heading[:8]) or 'none'}; expected one of {', '.join(factors)}",
        )
    check_hours(path, len(rows), (HOURS_PER_DAY, HOURS_PER_YEAR))
    place = heading.index(name)
    return tuple(
        factors[name] * number_in(path, line, name, row[place] if place < len(row) else "")
        for line, row in enumerate(rows, start=2)
    )


def check_hours(path: str, count: int, allowed: Sequence[int]) -> None:
    """Raise ScenarioError if a file has missing or surplus hours."""
    if count not in allowed:
        expected = " or ".join(f"{each:,}" for each in allowed)
        leap = " (leave 29 February out)" if count == HOURS_PER_YEAR + 24 else ""
        raise ScenarioError.at(
            path, f"got {count:,} hours; expected a row for each of {expected} hours{leap}"
        )
