"""Rows of a table of measurements, and the numbers in them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path

from cluster_sim.errors import ScenarioError

Row = Mapping[str, str]
"""Row of a table, by column."""

COLUMNS = (
    "dataset", "source", "hardware", "n_devices", "parallelism", "model", "precision", "isl", "osl",
    "concurrency_or_rate", "metric", "value", "unit", "date", "framework", "spec_decoding", "kind",
    "confidence", "split_key", "notes",
)  # fmt: skip
"""Columns of a table of measurements."""


def table_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a table, with the numbers of their lines.

    Parameters
    ----------
    path
        Path of a CSV file; a file that ends in .gz is decompressed.

    Raises
    ------
    ScenarioError
        The file cannot be read, or lacks columns.
    """
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="") as file
        ):
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ScenarioError.at(
                    f"{path}:1",
                    f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                )
            for row in reader:
                if None in row or None in row.values():
                    raise ScenarioError.at(
                        f"{path}:{reader.line_num}",
                        f"got another number of values than the heading; expected {len(reader.fieldnames or ())}",
                    )
                yield reader.line_num, row
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read: {getattr(fault, 'strerror', None) or fault}"
        ) from fault


def number_in(row: Row, column: str, where: str) -> float:
    """Return the number in a column.

    Raises
    ------
    ScenarioError
        There is no finite number; the message names `where`.
    """
    try:
        number = float(row[column] or "nan")
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise ScenarioError.at(where, f"{column}: got '{row[column]}'; expected a number")
    return number
