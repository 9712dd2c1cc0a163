"""Readers of Parquet files, whose columns are packed inside the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster_sim.workload.traces.files import unreadable


def is_parquet(path: str | Path) -> bool:
    """Return whether a file is Parquet, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def parquet_batches(path: str, rows: int) -> Iterator[list[Any]]:
    """Yield lists of at most `rows` rows of a Parquet file, as mappings.

    Raises ScenarioError if the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows):
                yield batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise unreadable(path, fault) from fault


def parquet_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of the columns of a Parquet file.

    Raises ScenarioError if the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise unreadable(path, fault) from fault


def parquet_columns(path: str, names: list[str], rows: int) -> Iterator[list[Any]]:
    """Yield columns of a Parquet file as Arrow arrays of at most `rows` rows.

    Raises ScenarioError if the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(rows, columns=names, use_threads=False):
                if batch.num_rows:
                    yield [batch.column(name) for name in names]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise unreadable(path, fault) from fault
