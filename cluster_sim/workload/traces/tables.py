"""Traces that are CSV: Azure 2023 and 2024, BurstGPT, Vidur, splitwise-sim.

They differ in the names of three columns.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import IO

import numpy as np

from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.rows import AT_A_TIME, NONE, Batch, batch_of_columns


@dataclass(frozen=True)
class TableLayout:
    """The columns of a CSV trace."""

    columns: tuple[str, str, str]
    """Names of the columns of time, prompt tokens and output tokens."""
    seconds: Callable[[str], float]
    """What reads a time [s]."""


def _stamp_s(stamp: str) -> float:
    """Return the seconds of `2023-11-16 18:17:03.9799600`, with any number of decimals.

    A zone is taken as UTC. datetime keeps six decimals and a float of seconds since 1970 has fewer;
    so days are counted from a near day.
    """
    rest = stamp[17:].rstrip()
    return _minute_s(stamp[:17]) + float(
        rest if rest[-1:].isdigit() and "+" not in rest else rest.removesuffix("Z").split("+")[0]
    )


@lru_cache(maxsize=1024)
def _minute_s(minute: str) -> float:
    day, hour, minutes, nothing = (
        minute[:10],
        minute[11:13],
        minute[14:16],
        minute[16:] + minute[13:14],
    )
    if nothing != "::" or minute[10] not in " T":
        raise ValueError
    return (
        (datetime.strptime(day, "%Y-%m-%d") - datetime(2023, 1, 1)).days * 86400.0
        + int(hour) * 3600
        + int(minutes) * 60
    )


LAYOUTS: dict[str, TableLayout] = {
    "azure": TableLayout(("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _stamp_s),
    "burstgpt": TableLayout(("Timestamp", "Request tokens", "Response tokens"), float),
    "vidur": TableLayout(("arrived_at", "num_prefill_tokens", "num_decode_tokens"), float),
    "splitwise": TableLayout(("arrival_timestamp", "prompt_size", "token_size"), float),
}


def names_of(heading: str) -> list[str]:
    """Return the names of the columns in a first line."""
    return [name.strip() for name in next(csv.reader([heading.lstrip("\ufeff")]), [])]


def layout_of(heading: str) -> str | None:
    """Return the format that has this first line; None where it is none of these."""
    names = set(names_of(heading))
    return next(
        (format_ for format_, layout in LAYOUTS.items() if set(layout.columns) <= names), None
    )


def table_batches(text: IO[str], place: Place, layout: TableLayout) -> Iterator[Batch]:
    """Yield the rows of a CSV file, in its order; other columns are passed over.

    Raises ScenarioError with the line of a row that is malformed.
    """
    reader = csv.reader(text)
    place.follow(lambda: reader.line_num)
    try:
        heading = next(reader, None)
        if heading is None:
            place.refuse_at(0, "is empty; expected a trace with a heading and rows")
        names = [name.strip().lstrip("\ufeff") for name in heading]
        if missing := [column for column in layout.columns if column not in names]:
            place.refuse(f"has no column {', '.join(missing)}; expected {','.join(layout.columns)}")
        columns = [names.index(column) for column in layout.columns]
        before = reader.line_num
        while rows := list(islice(reader, AT_A_TIME)):
            try:
                yield _batch(rows, np.arange(before + 1, before + 1 + len(rows)), layout, columns)
            except (ValueError, IndexError, OverflowError):
                yield _row_by_row(rows, before, place, layout, columns)
            before = reader.line_num
    except csv.Error as fault:
        place.refuse(f"is no CSV: {fault}")


def _batch(
    rows: list[list[str]], lines: np.ndarray, layout: TableLayout, columns: list[int]
) -> Batch:
    """Return all rows at once. Raises ValueError or IndexError where one is malformed."""
    texts = [list(map(itemgetter(place), rows)) for place in columns]
    time_s = np.array(list(map(layout.seconds, texts[0])))
    prompt, output = (np.array(list(map(int, column)), dtype=np.int64) for column in texts[1:])
    return batch_of_columns(time_s, prompt, output, None, lines)


def _row_by_row(
    rows: list[list[str]], before: int, place: Place, layout: TableLayout, columns: list[int]
) -> Batch:
    """Return the rows, with blank lines left out.

    Raises ScenarioError with the line of the row that is malformed.
    """
    whole = NONE
    line = before
    for row in rows:
        line += 1 + sum(field.count("\n") for field in row)
        if not row:
            continue
        try:
            whole = whole.then(_batch([row], np.array([line]), layout, columns))
        except (ValueError, IndexError, OverflowError):
            place.refuse_text(",".join(row), ",".join(layout.columns), line)
    return whole
