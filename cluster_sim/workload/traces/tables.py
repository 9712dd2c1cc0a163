"""Reader of tables: CSV with any delimiter, Parquet, and JSON rows, with columns found by name.

Azure 2023 and 2024, BurstGPT, Vidur and splitwise-sim differ in the names of three columns. For any
other table a scenario can give the names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.column_sessions import ColumnSessions
from cluster_sim.workload.traces.column_values import (
    ColumnNumbers,
    ColumnTimes,
    array_of,
)
from cluster_sim.workload.traces.csv_rows import (
    RowReader,
    TextRows,
    csv_batches,
    evenly,
    line_of,
    read_or_fault,
)
from cluster_sim.workload.traces.found_columns import (
    FoundColumns,
    found_columns,
    value_at,
    value_or_none_at,
)
from cluster_sim.workload.traces.headings import heading_of
from cluster_sim.workload.traces.iso_times import is_other_date
from cluster_sim.workload.traces.json_rows import KeyedRows, keyed_batches
from cluster_sim.workload.traces.known_names import known_columns, mapping
from cluster_sim.workload.traces.meanings import note_meanings
from cluster_sim.workload.traces.parquet_files import parquet_columns
from cluster_sim.workload.traces.recognise import beginning
from cluster_sim.workload.traces.refusals import unknown_format
from cluster_sim.workload.traces.row_faults import number_of, refuse_row, written
from cluster_sim.workload.traces.rows import AT_A_TIME, Batch, Links, batch_of_columns
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.table_layouts import LAYOUTS, TableLayout


def any_table_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the rows of a table with columns that the scenario gives, or with well-known names.

    Raises ScenarioError if a column is missing or unknown, or a row is malformed.
    """
    if source.columns is not None:
        return table_batches(source, TableLayout.of(source.columns, is_given=True))
    begun = beginning(source.path)
    known = known_columns(begun.names)
    if known is None:
        raise unknown_format(
            source.path, begun, {name: own.columns for name, own in LAYOUTS.items()}
        )
    source.tally.note(
        f"columns are recognised by their names: {known.arrival} has arrivals, {known.prompt} prompt tokens, {known.output} output tokens; for other columns, write {mapping(begun.leaves)} with their names"
    )
    return table_batches(source, TableLayout.of(known, is_given=False))


def table_batches(source: TraceSource, layout: TableLayout) -> Iterator[Batch]:
    """Yield the rows of a table, in its order; other columns are ignored.

    Raises ScenarioError if a column is missing, and with the line of a row that is malformed.
    """
    begun = beginning(source.path)
    found = found_columns(source.path, begun, layout)
    source.place.time_column = ".".join(found.arrival)
    others = found.unused_leaves(begun.leaves)
    note_meanings(others, ".".join(found.prompt), source.tally)
    if begun.kind == "json":
        yield from _of_json(source, layout, found)
        return
    source.tally.note_unused(found.unused(begun.names))
    if begun.kind == "parquet":
        yield from _of_parquet(source, layout, found)
    else:
        yield from evenly(_of_text(source, layout, found))


class _Rows:
    """Reader of rows whose columns are Arrow arrays."""

    def __init__(
        self,
        source: TraceSource,
        layout: TableLayout,
        found: FoundColumns,
        *,
        has_decimal_commas: bool = False,
    ) -> None:
        self._numbers = ColumnNumbers(source.tally, has_decimal_commas=has_decimal_commas)
        name = ".".join(found.arrival)
        self._times = ColumnTimes(source, self._numbers, name, layout.unit)
        self._sessions = ColumnSessions(".".join(found.session or ()))
        self._found, self._source = found, source

    def batch(self, columns: Sequence[Any], numbers: np.ndarray) -> Batch:
        """Return a batch, given the columns in the order of `FoundColumns` and the row numbers.

        Raises ValueError if a row is malformed.
        """
        try:
            batch = self._batch(columns, numbers)
        except (NotImplementedError, TypeError) as fault:  # of Arrow, such as for a column of lists
            raise ValueError from fault
        self._times.taken()
        if batch.links is not None:
            self._sessions.taken()
        return batch

    def _batch(self, columns: Sequence[Any], numbers: np.ndarray) -> Batch:
        arrival, prompt, output, *others = columns
        time_s = self._times.seconds(arrival, numbers)
        prompts, outputs = self._numbers.tokens(prompt), self._numbers.tokens(output)
        links = None
        if self._found.session is not None:
            unknown = np.full(len(time_s), np.nan)
            ended_s = (
                unknown if self._found.elapsed is None else time_s + self._times.spans(others[1])
            )
            links = Links(self._sessions.numbers(others[0]), ended_s, unknown)
        return batch_of_columns(time_s, prompts, outputs, None, numbers, links)

    def end(self) -> None:
        """Add the notes that need all rows."""
        self._times.end()
        if self._source.links_wanted:
            self._sessions.end(self._source.tally)


def _of_text(source: TraceSource, layout: TableLayout, found: FoundColumns) -> Iterator[Batch]:
    """Yield the rows of a CSV file."""
    path, place = source.path, source.place
    heading = heading_of(path)
    place.name_rows(lambda row: f"{path}:{line_of(path, heading, row)}")
    rows = _Rows(source, layout, found, has_decimal_commas=heading.delimiter != ",")
    places = [heading.names.index(own[0]) for own in found.present]

    def read(texts: TextRows) -> Batch:
        count = len(texts.columns[0])
        return rows.batch(texts.columns, np.arange(texts.first, texts.first + count))

    def refuse(number: int, fields: Sequence[str] | None) -> NoReturn:
        if fields is None:
            place.refuse_at(
                number, "has a field of more than 131,072 characters; expected a closing quote"
            )
        if [field.strip() for field in fields] == list(heading.names):
            place.refuse_at(number, "repeats the heading; expected one heading: remove the line")
        count, expected = len(heading.names), _expected(source, layout, found, "")
        if len(fields) >= count and not any(map(str.strip, fields[count:])):
            own = found.fields([fields[at] for at in places])
            expected = _expected(source, layout, found, own.values[0])
            refuse_row(place, own, written(fields, heading.delimiter), expected, number)
        expected += f" ({number_of(len(fields), 'field')}, but the heading has {count})"
        place.refuse_text(written(fields, heading.delimiter), expected, number)

    try:
        yield from csv_batches(path, heading, RowReader(places, read, refuse))
    finally:
        rows.end()


def _expected(source: TraceSource, layout: TableLayout, found: FoundColumns, time: str) -> str:
    """Return the expected content of a row; `time` is the text of its time."""
    wanted = ",".join(
        layout.columns if not layout.is_given else (".".join(own) for own in found.present)
    )
    if source.time_unit is not None:
        return f"{wanted}, with times in {source.time_unit}"
    if is_other_date(time):
        return f"{wanted}, with times such as 2026-10-25 13:30:00.5, or numbers"
    return f"{wanted}: a time, and whole numbers of tokens" if layout.is_given else wanted


def _of_parquet(source: TraceSource, layout: TableLayout, found: FoundColumns) -> Iterator[Batch]:
    """Yield the rows of a Parquet file."""
    path, place = source.path, source.place
    place.name_rows(lambda row: f"{path}, row {row}")
    rows = _Rows(source, layout, found)
    names = [own[0] for own in found.present]
    before = 0
    try:
        for columns in parquet_columns(path, names, AT_A_TIME):
            numbers = np.arange(before + 1, before + 1 + len(columns[0]))
            batch, faulty = read_or_fault(
                lambda count, columns=columns, numbers=numbers: rows.batch(  # type: ignore[misc]
                    [column[:count] for column in columns], numbers[:count]
                ),
                len(numbers),
            )
            if batch is None:
                values = [column[faulty].as_py() for column in columns]
                expected = _expected(source, layout, found, str(values[0]))
                text, row = ",".join(map(str, values)), int(numbers[faulty])
                refuse_row(place, found.fields(values), text, expected, row)
            yield batch
            before += len(numbers)
    finally:
        rows.end()


def _of_json(source: TraceSource, layout: TableLayout, found: FoundColumns) -> Iterator[Batch]:
    """Yield the rows of JSON Lines or of a JSON array."""
    rows = _Rows(source, layout, found)
    readers = [value_at(path) for path in found.present]
    of_session = None if found.session is None else 3
    if found.session is not None:
        readers[3] = value_or_none_at(found.session)
    kinds = ("time", "tokens", "tokens", "name", "time")
    wanted = zip(found.present, kinds, strict=False)
    expected = ", ".join(f'"{".".join(path)}": {kind}' for path, kind in wanted)
    if source.time_unit is not None:
        expected += f", with times in {source.time_unit}"
    keys: dict[str, None] = {}

    def batch_of(keyed: KeyedRows) -> Batch:
        values: list[list[Any]] = [[] for _ in readers]
        row: Any = None
        try:
            for row in keyed.rows:
                for place, reader in enumerate(readers):
                    values[place].append(reader(row))
            arrays = [
                array_of(own, are_names=place == of_session) for place, own in enumerate(values)
            ]
            return rows.batch(arrays, keyed.lines)
        except (ValueError, OverflowError, KeyError, TypeError) as fault:
            if len(keyed.lines) != 1 or isinstance(fault, ScenarioError) or row is None:
                raise
            fields = found.fields([value_or_none_at(path)(row) for path in found.present])
            text, line = json.dumps(row, ensure_ascii=False), int(keyed.lines[0])
            refuse_row(source.place, fields, text, f"{{{expected}}}", line)

    try:
        for batch in keyed_batches(source.path, source.place, batch_of, f"{{{expected}}}", keys):
            source.tally.note_unused(found.unused(keys))
            yield batch
    finally:
        rows.end()
