"""Reader of rows with keys: JSON Lines, a JSON array of objects, or Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from orjson import dumps, loads

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.documents import array_lines, read_document, starts_as_array
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.parquet_files import is_parquet, parquet_batches
from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.rows import AT_A_TIME, NONE, Batch

KeyedRow = Mapping[str, Any]
"""Values of one row by key."""
MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)
"""Errors that readers raise at a malformed row."""


class KeyedRows(NamedTuple):
    """Rows of a file, each parsed when it is requested."""

    rows: Iterable[KeyedRow]
    """Rows, which can be read once."""
    lines: np.ndarray
    """Line of each row; its number counted from 1 if the file has no lines."""


def keyed_batches(
    path: str,
    place: Place,
    batch_of: Callable[[KeyedRows], Batch],
    expected: str,
    keys: dict[str, None] | None = None,
) -> Iterator[Batch]:
    """Yield batches of the rows of a file, which `batch_of` converts, in the order of the file.

    Blank lines are omitted. The keys of the rows are added to `keys`, in their order. Raises
    ScenarioError with `expected` in its message, and with the location of the row, if `batch_of`
    raises one of `MALFORMED` at a row.
    """
    if is_parquet(path):
        place.name_rows(lambda row: f"{path}, row {row}")
        texts: Iterator[list[Any]] = parquet_batches(path, AT_A_TIME)
        parsed: Callable[[Any], KeyedRow] = _as_it_is
    elif starts_as_array(path):
        place.name_rows(lambda row: f"{path}:{array_lines(path)[row - 1]}")
        values = read_document(path)
        texts = (values[first : first + AT_A_TIME] for first in range(0, len(values), AT_A_TIME))
        parsed = _as_it_is
    else:
        texts, parsed = _lines(path), loads
    before = 0
    for some in texts:
        numbers = np.arange(before + 1, before + 1 + len(some))
        before += len(some)
        try:
            yield batch_of(KeyedRows(_watched(map(parsed, some), keys), numbers))
            continue
        except ScenarioError:  # also a ValueError: the reader has reported the fault
            raise
        except MALFORMED:
            filled = [at for at, text in enumerate(some) if not _is_blank(text)]
        try:
            # The batch is read again as a whole, since its first rows decide on the unit.
            rows = map(parsed, [some[at] for at in filled])
            yield batch_of(KeyedRows(_watched(rows, keys), numbers[filled]))
            continue
        except ScenarioError:
            raise
        except MALFORMED:
            batch = NONE
        for at in filled:
            try:
                row = _watched(iter([parsed(some[at])]), keys)
                batch = batch.then(batch_of(KeyedRows(row, numbers[at : at + 1])))
            except ScenarioError:
                raise
            except MALFORMED:
                place.refuse_text(_shown(some[at]), expected, int(numbers[at]))
        yield batch


def _is_blank(text: Any) -> bool:
    return isinstance(text, str) and not text.strip()


def _watched(rows: Iterator[KeyedRow], keys: dict[str, None] | None) -> Iterator[KeyedRow]:
    """Return the rows, and add their keys to `keys` unless it is None."""
    return rows if keys is None else _keys_watched(rows, keys)


def _keys_watched(rows: Iterator[KeyedRow], keys: dict[str, None]) -> Iterator[KeyedRow]:
    """Yield the rows, and add their keys to `keys`."""
    last = None
    for row in rows:
        if row.keys() != last:
            last = row.keys()
            keys.update(dict.fromkeys(row))
        yield row


def _lines(path: str) -> Iterator[list[str]]:
    with opened(path) as text:
        yield from iter(lambda: list(islice(text, AT_A_TIME)), [])


def _as_it_is(row: KeyedRow) -> KeyedRow:
    return row


def _shown(row: Any) -> str:
    if isinstance(row, str):
        return row
    try:
        return dumps(row, default=str).decode()
    except (TypeError, ValueError):
        return str(row)
