"""Reading of the tables of a run folder, with a check of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.results import columns
from cluster_sim.results.attempt_columns import ATTEMPTS
from cluster_sim.results.columns import Column, Holds

DESCRIBED: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "requests": columns.REQUESTS,
        "stretches": (*columns.STRETCHES, *columns.STRETCH_TOTALS),
        "devices": columns.DEVICES,
        "links": columns.LINKS,
        "events": (*columns.EVENTS, columns.EVENT_REASON, columns.EVENT_WHERE),
        "transfers": columns.TRANSFERS,
        "thermal": columns.THERMAL,
        "states": columns.STATES,
        "attempts": ATTEMPTS,
        "clocks": columns.CLOCKS,
    }
)
"""Columns of each table. A table may have further columns; an empty table may have none."""

_MAY_BE_EMPTY = ("thermal", "attempts", "clocks")
"""Tables without columns in runs that do not simulate temperatures, whose clients make a single
attempt, or that lock no clock."""

_MAX_SECONDS = 2**63 / 1e9
"""Time from which nanoseconds do not fit into 64 bits [s]: 292 years."""
_SLOPES = ("slope_s",)
"""Columns in seconds that may be negative."""


def read_table(name: str, path: Path) -> pa.Table:
    """Return a table of a run folder, with neutral values in columns that its version lacks.

    Parameters
    ----------
    name
        Name of the table.
    path
        Path of its Parquet file.

    Raises
    ------
    ScenarioError
        The file is missing or damaged, or lacks a column that every version writes.
    """
    with opened(name, path) as file:
        try:
            table = with_neutral_columns(name, file.read())
        except (OSError, pa.ArrowException) as fault:
            raise ScenarioError.at(str(path), f"is damaged: {fault}") from fault
    check_values(name, path, table)
    return table


def check_values(name: str, path: Path, table: pa.Table) -> None:
    """Raise ScenarioError if a column lacks values, or has a time that no run can have.

    Parameters
    ----------
    name
        Name of the table.
    path
        Path of its Parquet file, for messages.
    table
        Rows of the table, with all or some of its columns.
    """
    for column in DESCRIBED[name]:
        if column.name not in table.column_names:
            continue
        values = table[column.name]
        may_be_null = column.name in columns.MAY_BE_NULL.get(name, ())
        if values.null_count and column.is_in_all_versions and not may_be_null:
            raise ScenarioError.at(
                str(path),
                f"is damaged: {values.null_count:,} of {len(values):,} values of {column.name} are missing",
            )
        if column.name.endswith("_s") and not column.name.endswith("_per_s"):
            _check_seconds(path, column.name, values)


def _check_seconds(path: Path, column: str, values: pa.ChunkedArray) -> None:
    """Raise ScenarioError if a column in seconds has a time that no run can have."""
    if not pa.types.is_floating(values.type) or not len(values):
        return
    least = -_MAX_SECONDS if column in _SLOPES else 0.0
    for value in pc.min_max(values).as_py().values():
        if value is not None and not least <= value < _MAX_SECONDS:
            raise ScenarioError.at(
                str(path),
                f"column {column}: got {value:g} s; expected a time of at least 0 whose nanoseconds fit into 64 bits",
            )


def opened(name: str, path: Path) -> pq.ParquetFile:
    """Open the file of a table, check its columns and return it.

    Parameters
    ----------
    name
        Name of the table.
    path
        Path of its Parquet file.

    Raises
    ------
    ScenarioError
        The file is missing or damaged, or lacks a column that every version writes.
    """
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as fault:
        raise ScenarioError.at(str(path), "is missing from the run folder") from fault
    except (OSError, pa.ArrowException) as fault:
        raise ScenarioError.at(str(path), f"is damaged: {fault}") from fault
    if faults := [Fault(str(path), what) for what in _faults(name, file.schema_arrow)]:
        raise ScenarioError(faults)
    return file


def _faults(name: str, schema: pa.Schema) -> Iterator[str]:
    """Yield the faults of the columns of a table."""
    if name in _MAY_BE_EMPTY and not schema.names:
        return
    lacking = [
        column.name
        for column in DESCRIBED[name]
        if column.is_in_all_versions and column.name not in schema.names
    ]
    if lacking:
        yield f"has no column {', '.join(lacking)}, which every run folder has"
    for column in DESCRIBED[name]:
        places = schema.get_all_field_indices(column.name)
        if len(places) > 1:
            yield f"has {len(places)} columns named {column.name}; expected one"
        elif places and not _holds(schema.field(places[0]).type, column.holds):
            yield f"column {column.name}: got {schema.field(places[0]).type}; expected {column.holds}"


def _holds(kind: pa.DataType, what: Holds) -> bool:
    """Return whether a column of this type holds the expected kind of values."""
    types = pa.types
    if types.is_null(kind):
        return True
    match what:
        case "numbers":
            return bool(types.is_integer(kind) or types.is_floating(kind))
        case "truths":
            return bool(types.is_boolean(kind))
        case "texts":
            kind = kind.value_type if types.is_dictionary(kind) else kind
            return bool(types.is_string(kind) or types.is_large_string(kind))


def _type_of(column: Column) -> pa.DataType:
    """Return the type of a column that is added with neutral values."""
    if column.holds == "texts":
        return pa.string()
    return pa.int64() if isinstance(column.neutral, int) else pa.float64()


def with_neutral_columns(
    name: str, table: pa.Table, wanted: Sequence[str] | None = None
) -> pa.Table:
    """Return a table with the columns that earlier versions lack, filled with neutral values.

    Parameters
    ----------
    name
        Name of the table.
    table
        Table as read.
    wanted
        Names of the columns to add. Default: all.
    """
    if name in _MAY_BE_EMPTY and not table.column_names:
        return table
    for column in DESCRIBED[name]:
        is_wanted = wanted is None or column.name in wanted
        if is_wanted and column.has_neutral and column.name not in table.column_names:
            values = pa.repeat(pa.scalar(column.neutral, _type_of(column)), len(table))
            table = table.append_column(column.name, values)
    return table
