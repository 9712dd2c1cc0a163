"""The tables of a run folder, read a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.errors import ScenarioError

ROWS_AT_A_TIME = 1 << 15
"""Number of rows of a table that are in memory together."""


def ns(time_s: float) -> int:
    """Return a time in whole nanoseconds."""
    return round(1e9 * time_s)


class RunTables:
    """The tables of a run folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; nothing is read yet."""
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether there is a table of this name; earlier versions wrote fewer."""
        return (self._folder / f"{name}.parquet").is_file()

    def rows(self, name: str, columns: tuple[str, ...] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table, with these columns or all.

        Raises ScenarioError where the table is missing or cannot be read.
        """
        with self._opened(name) as table:
            for batch in table.iter_batches(ROWS_AT_A_TIME, columns=columns):
                values = [column.to_pylist() for column in batch.columns]
                for row in zip(*values, strict=True):
                    yield dict(zip(batch.schema.names, row, strict=True))

    def _opened(self, name: str) -> pq.ParquetFile:
        path = self._folder / f"{name}.parquet"
        try:
            return pq.ParquetFile(path)
        except FileNotFoundError as fault:
            raise ScenarioError.at(
                str(self._folder), f"is no whole run folder: no {name}.parquet in it"
            ) from fault
        except (OSError, pa.ArrowInvalid) as fault:
            raise ScenarioError.at(str(path), f"cannot be read: {fault}") from fault
