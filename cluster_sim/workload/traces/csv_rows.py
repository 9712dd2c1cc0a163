"""Reader of CSV with any delimiter, by Arrow or by Python's csv module.

Arrow reads about ten million rows per second, but does not report the line of a fault. Rows that
Arrow refuses are read again by Python's csv module, which accepts them or knows the line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from itertools import chain, islice
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.files import opened, opened_bytes
from cluster_sim.workload.traces.headings import Heading
from cluster_sim.workload.traces.rows import AT_A_TIME, NONE, Batch

_BLOCK_BYTES = 1 << 16
"""Size of a block [bytes]; Arrow reads up to 32 blocks ahead."""


class TextRows(NamedTuple):
    """Rows of a table, as texts."""

    columns: list[Any]
    """Arrow array of texts for each selected column."""
    first: int
    """Number of the first row, counted from 1."""


class RowReader(NamedTuple):
    """Selected columns of a table, and the functions that read and refuse its rows."""

    places: Sequence[int]
    """Positions of the selected columns."""
    read: Callable[[TextRows], Batch]
    """Reader of rows; it raises ValueError if a row is malformed."""
    refuse: Callable[[int, Sequence[str] | None], NoReturn]
    """Function that raises the error of a row, given its number and fields; the fields are None if
    the row is not CSV."""


def csv_batches(path: str, heading: Heading, reader: RowReader) -> Iterator[Batch]:
    """Yield the rows of a file in batches, in the order of the file."""
    done = 0
    if heading.ends_plainly:
        try:
            for columns in _by_arrow(path, heading, reader.places):
                batch = reader.read(TextRows(columns, done + 1))
                yield batch
                done += len(batch.line)
        except ScenarioError:  # also a ValueError: a line that is too long
            raise
        except (ValueError, OverflowError):  # also of Arrow, which does not report the line
            pass
        else:
            return
    yield from _by_csv(path, heading, reader, done)


def _by_arrow(path: str, heading: Heading, places: Sequence[int]) -> Iterator[list[Any]]:
    """Yield the columns of one block of rows after another.

    Raises pyarrow's errors, which are ValueErrors, if Arrow refuses the file.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(place) for place in range(len(heading.names))]
    selected = [str(place) for place in places]
    with opened_bytes(path) as file, BufferedReader(file, _BLOCK_BYTES) as text:
        for _ in range(heading.lines):
            text.readline()
        with arrow_csv.open_csv(
            text,
            arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=names),
            arrow_csv.ParseOptions(delimiter=heading.delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                include_columns=sorted(set(selected)),
                column_types=dict.fromkeys(selected, pa.string()),
                strings_can_be_null=False,
            ),
        ) as blocks:
            some: list[Any] = []
            for block in chain(blocks, [None]):
                some += [] if block is None else [block]
                # The first rows decide on the unit: their number equals that of other readers.
                if some and (block is None or sum(own.num_rows for own in some) >= AT_A_TIME):
                    yield [
                        pa.concat_arrays([own.column(name) for own in some]) for name in selected
                    ]
                    some = []


def _by_csv(path: str, heading: Heading, reader: RowReader, done: int) -> Iterator[Batch]:
    """Yield the batches after the first `done` rows; see `csv_batches`."""
    import pyarrow as pa

    def read(rows: Sequence[_NumberedRow]) -> Batch:
        texts = [
            pa.array([row.fields[place] for row in rows], pa.string()) for place in reader.places
        ]
        return reader.read(TextRows(texts, done + 1))

    with opened(path) as text:
        rows = islice(_numbered(text, heading), done, None)
        while some := list(islice(rows, AT_A_TIME)):
            whole = next((at for at, row in enumerate(some) if not row.fits(heading)), len(some))
            batch: Batch | None = NONE
            if whole:
                batch, fault = read_or_fault(lambda count, some=some: read(some[:count]), whole)  # type: ignore[misc]
                whole = whole if batch is not None else fault
            if whole < len(some):
                bad = some[whole]
                reader.refuse(done + 1 + whole, bad.fields if bad.is_csv else None)
            if batch is not None:
                yield batch
            done += len(some)


def read_or_fault(read: Callable[[int], Batch], count: int) -> tuple[Batch | None, int]:
    """Return the first `count` rows; or None and the position of the first malformed row.

    `read` returns the given number of rows, and raises ValueError if one of them is malformed.
    """
    try:
        return read(count), count
    except ScenarioError:
        raise
    except (ValueError, OverflowError):
        # Bisection for the smallest number of rows that has a fault.
        low, high = 0, count - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if _fails(read, middle + 1) else (middle + 1, high)
        return None, low


def _fails(read: Callable[[int], Batch], count: int) -> bool:
    """Return whether one of the first rows is malformed; ScenarioError is not such a fault."""
    try:
        read(count)
    except ScenarioError:
        return False
    except (ValueError, OverflowError):
        return True
    return False


class _NumberedRow(NamedTuple):
    """Row of a table, with its line."""

    line: int
    """Line at which the row begins."""
    fields: list[str]
    """Fields of the row."""
    is_csv: bool = True
    """Whether the row is valid CSV."""

    def fits(self, heading: Heading) -> bool:
        """Return whether the row has a field for each name, and no further text."""
        names = heading.names
        if len(self.fields) == len(names):
            return self.is_csv
        named = max((at + 1 for at, name in enumerate(names) if name), default=0)
        return len(self.fields) >= named and not any(map(str.strip, self.fields[named:]))


def _numbered(text: IO[str], heading: Heading) -> Iterator[_NumberedRow]:
    """Yield the rows below the heading, without blank rows; a row that is not CSV is the last."""
    reader = csv.reader(
        islice(text, heading.lines, None), delimiter=heading.delimiter, skipinitialspace=True
    )
    line = heading.lines + 1
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield _NumberedRow(line, row)
            line = heading.lines + 1 + reader.line_num
    except csv.Error:
        yield _NumberedRow(line, [], is_csv=False)


def evenly(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the rows in batches of `AT_A_TIME`, like all other readers.

    Random numbers for rows must not depend on the blocks in which a file is read.
    """
    ahead = NONE
    for batch in batches:
        ahead = ahead.then(batch) if len(ahead.line) else batch
        whole = len(ahead.line) // AT_A_TIME * AT_A_TIME
        for first in range(0, whole, AT_A_TIME):
            yield ahead.take(np.arange(first, first + AT_A_TIME))
        ahead = ahead.take(np.arange(whole, len(ahead.line)))
    if len(ahead.line):
        yield ahead


def line_of(path: str, heading: Heading, row: int) -> int:
    """Return the line at which a row begins, given its number counted from 1."""
    with opened(path) as text:
        return next(islice(_numbered(text, heading), row - 1, None)).line
