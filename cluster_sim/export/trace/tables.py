"""Reader of the tables of a run folder in parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster_sim.errors import ScenarioError
from cluster_sim.results.table_files import check_values, opened, with_neutral_columns

ROWS_AT_A_TIME = 1 << 15
"""Number of rows of a table that are held in memory together."""


def ns(time_s: float) -> int:
    """Return a time [s] in whole nanoseconds [ns]."""
    return round(1e9 * time_s)


class RunTables:
    """Tables of a run folder."""

    def __init__(self, folder: Path) -> None:
        """Store the folder; nothing is read yet."""
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether the folder has a table of this name; earlier versions wrote fewer tables."""
        return (self._folder / f"{name}.parquet").is_file()

    @property
    def served(self) -> str:
        """Name of the table of requests as the cluster sees them, see RunData.served."""
        if not self.has("attempts"):
            return "requests"
        with opened("attempts", self._folder / "attempts.parquet") as table:
            return "attempts" if table.metadata.num_rows else "requests"

    def rows(self, name: str, columns: tuple[str, ...] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table, with the given columns or all columns.

        Columns that earlier versions did not write get neutral values. Raises ScenarioError if the
        table is missing or damaged.
        """
        path = self._folder / f"{name}.parquet"
        with opened(name, path) as table:
            try:
                for batch in table.iter_batches(ROWS_AT_A_TIME, columns=columns):
                    rows = with_neutral_columns(name, pa.Table.from_batches([batch]), columns)
                    check_values(name, path, rows)
                    values = [column.to_pylist() for column in rows.columns]
                    for row in zip(*values, strict=True):
                        yield dict(zip(rows.column_names, row, strict=True))
            except (OSError, pa.ArrowException) as fault:
                raise ScenarioError.at(str(path), f"is damaged: {fault}") from fault
