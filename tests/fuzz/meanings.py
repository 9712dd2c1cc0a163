"""Changes of traces whose meaning is known: what a right reading of the changed file gives."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.traces import (
    BASE_S,
    ROWS,
    Form,
    Table,
    TraceRow,
    cells_as_text,
    content_of,
    seconds,
    stamp,
)

Rows = Sequence[TraceRow]


@dataclass(frozen=True)
class Case:
    """A changed file, and what is right to make of it."""

    content: bytes
    rows: Rows
    """Requests that a right reading gives."""
    keys: dict[str, Any]
    """Keys beside the path."""
    refused_at: int | None = None
    """Line at which it must be refused, 0 for any; None where it may be read."""
    must_be_read: bool = False
    """Whether a refusal is a fault."""
    must_be_noted: bool = False
    """Whether a reading is a fault that says nothing."""
    scales: tuple[float, ...] = (1.0,)
    """Numbers by which the times of a right reading may be multiplied."""


Meaning = Callable[[Random, Form, Rows], Case | None]
"""A change; None where it does not apply to a form."""


def _case(form: Form, data: Any, rows: Rows, **changes: Any) -> Case:
    return Case(content_of(form, data), rows, form.keys, **changes)


def untouched(rng: Random, form: Form, rows: Rows) -> Case:
    return _case(form, form.write(rows), rows, must_be_read=True)


def _text(form: Form, text: str, rows: Rows, **changes: Any) -> Case:
    return Case(text.encode(), rows, form.keys, **changes)


def _table(change: Callable[[Random, Table], Table]) -> Meaning:
    """Make a change of cells that leaves the meaning as it is."""

    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        return _case(form, change(rng, form.write(rows)), rows) if form.kind == "table" else None

    return changed


def _delimited(delimiter: str) -> Meaning:
    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        if form.kind != "table":
            return None
        return _text(form, cells_as_text(form.write(rows), delimiter), rows)

    return changed


def _heading(change: Callable[[str], str]) -> Meaning:
    return _table(lambda rng, cells: [[change(name) for name in cells[0]], *cells[1:]])


def _columns_permuted(rng: Random, cells: Table) -> Table:
    order = rng.sample(range(len(cells[0])), len(cells[0]))
    return [[row[at] for at in order] for row in cells]


def _column_more(rng: Random, cells: Table) -> Table:
    at = rng.randrange(len(cells[0]) + 1)
    values = ["remark", *(rng.choice(("", "a,b", 'say "x"', "é", "12")) for _ in cells[1:])]
    return [[*row[:at], value, *row[at:]] for row, value in zip(cells, values, strict=True)]


def _column_twice(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Add a second column of a name that matters, with other numbers in it."""
    if form.kind != "table" or not form.prompt:
        return None
    name = rng.choice((form.prompt, form.output))
    cells = [[*row, "7"] for row in form.write(rows)]
    cells[0][-1] = name
    return _case(form, cells, rows, must_be_noted=True)


def _quoted(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "table":
        return None
    return _text(form, cells_as_text(form.write(rows), quoting=csv.QUOTE_ALL), rows)


def _spaced(rng: Random, cells: Table) -> Table:
    return [[f" {cell}" for cell in row] for row in cells]


def _trailing(rng: Random, cells: Table) -> Table:
    return [[*row, ""] for row in cells]


def _trailing_in_rows(rng: Random, cells: Table) -> Table:
    return [cells[0], *([*row, ""] for row in cells[1:])]


def _commented(rng: Random, form: Form, rows: Rows) -> Case | None:
    text = content_of(form, form.write(rows)).decode("utf-8", "replace")
    return _text(form, "# made by hand\n" + text, rows) if form.kind == "table" else None


def _blank_lines(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("table", "lines"):
        return None
    lines = content_of(form, form.write(rows)).decode().splitlines(keepends=True)
    for _ in range(3):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(("\n", "  \n", "\r\n")))
    return _text(form, "".join(lines), rows)


def _decimal_commas(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "table" or form.unit != "s":
        return None
    cells = form.write(rows)
    at = cells[0].index(form.arrival)
    for row in cells[1:]:
        row[at] = row[at].replace(".", ",")
    return _text(form, cells_as_text(cells, ";"), rows)


def _thousands(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "table" or not form.prompt:
        return None
    longer = [row._replace(prompt=row.prompt + 1000) for row in rows]
    cells = form.write(longer)
    at = cells[0].index(form.prompt)
    for row in cells[1:]:
        row[at] = f"{int(row[at]):,}"
    return _text(form, cells_as_text(cells), longer)


def _floats(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write lengths as 374.0."""
    if form.times == "":
        return None
    longer = [row._replace(prompt=float(row.prompt), output=float(row.output)) for row in rows]
    return _case(form, form.write(longer), rows)


def _as_texts(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write lengths in JSON as "374"."""
    if form.kind not in ("lines", "json") or not form.prompt:
        return None
    texts = [row._replace(prompt=str(row.prompt), output=str(row.output)) for row in rows]
    return _case(form, _with_blocks(form, rows, texts), rows)


def _with_blocks(form: Form, rows: Rows, changed: Rows) -> Any:
    """Write the changed rows with the blocks of the old ones."""
    data = form.write(changed)
    for old, new in zip(form.write(rows), data, strict=True):
        if "hash_ids" in old:
            new["hash_ids"] = old["hash_ids"]
    return data


_WRONG: tuple[Any, ...] = (-5, 374.5, None, "many", "", True, math.nan, math.inf, 10**12, [7])


def _wrong_length(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Put a length that is none into a row, which must be refused with its line."""
    if form.times == "" or not rows:
        return None
    n, wrong = rng.randrange(len(rows)), rng.choice(_WRONG)
    name = rng.choice(("prompt", "output"))
    if form.name == "vllm.json" and wrong in (None, ""):
        return None  # such an answer is a failure
    damaged = [*rows[:n], rows[n]._replace(**{name: wrong}), *rows[n + 1 :]]
    if form.kind == "parquet" and not (wrong is None or type(wrong) in (int, float)):
        return None
    line = form.first_line + n if form.first_line else 0
    return _case(form, form.write(damaged), rows, refused_at=line)


def _wrong_time(rng: Random, form: Form, rows: Rows) -> Case | None:
    if not form.arrival or form.kind == "parquet" or not rows:
        return None
    n, data = rng.randrange(len(rows)), form.write(rows)
    if form.kind == "table":
        texts: tuple[str, ...] = (
            "soon",
            "nan",
            "inf",
            "1e400",
            "2023-13-45 00:00:00",
            "12:30",
            "--",
        )
        # blis has a second column of times, which stands for an empty first one.
        texts += ("",) if form.name != "blis.csv" else ()
        data[n + 1][data[0].index(form.arrival)] = rng.choice(texts)
    else:
        data[n][form.arrival] = rng.choice((None, "soon", "", True, [0], {}, math.nan))
    return _case(form, data, rows, refused_at=form.first_line + n if form.first_line else 0)


def _short_row(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Cut a row off before a column that matters."""
    if form.kind != "table" or not rows or not form.arrival:
        return None
    n, cells = rng.randrange(len(rows)), form.write(rows)
    last = max(cells[0].index(name) for name in (form.arrival, form.prompt, form.output))
    cells[n + 1] = cells[n + 1][: rng.randrange(1, last + 1)]
    return _case(form, cells, rows, refused_at=n + 2)


def _missing_key(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or not form.prompt or not rows:
        return None
    n, data = rng.randrange(len(rows)), form.write(rows)
    del data[n][rng.choice((form.prompt, form.output))]
    return _case(form, data, rows, refused_at=form.first_line + n if form.first_line else 0)


def _no_row(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Put a line of JSON that is no row, or no JSON, between the rows."""
    if form.kind != "lines" or not rows:
        return None
    lines = content_of(form, form.write(rows)).decode().splitlines(keepends=True)
    n = rng.randrange(1, len(lines) + 1)
    lines.insert(n, rng.choice(("[1, 2, 3]\n", "{\n", "7\n", "null\n", '"x"\n', "{}\n", "}\n")))
    return _text(form, "".join(lines), rows, refused_at=n + 1)


def _two_files(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Repeat the heading between the rows, as `cat a.csv b.csv` does."""
    if form.kind != "table" or not rows:
        return None
    cells = form.write(rows)
    n = rng.randrange(1, len(cells))
    return _case(form, [*cells[: n + 1], cells[0], *cells[n + 1 :]], rows, refused_at=n + 2)


def _no_heading(rng: Random, form: Form, rows: Rows) -> Case | None:
    return _case(form, form.write(rows)[1:], rows, refused_at=0) if form.kind == "table" else None


def _empty_answer(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Set a length to 0: such a row is left out, and counted."""
    if form.times == "" or len(rows) < 2:
        return None
    n = rng.randrange(1, len(rows))
    silent = rows[n]._replace(output=0)
    left = [*rows[:n], *rows[n + 1 :]]
    data = form.write([*rows[:n], silent, *rows[n + 1 :]])
    return _case(form, data, left, must_be_noted=True)


_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _in_unit(form: Form, rows: Rows, unit: str) -> Any:
    """Write the rows with times in another unit; whole numbers where they are."""
    data = form.write(rows)
    factor = _PER_S[unit] / 1000
    if form.kind == "table":
        at = data[0].index(form.arrival)
        for cells, row in zip(data[1:], rows, strict=True):
            number = row.ms * factor
            cells[at] = seconds(row.ms) if unit == "s" else f"{number:.0f}"
    elif form.kind == "parquet":
        column = pa.array([row.ms * factor for row in rows])
        data = data.set_column(data.column_names.index(form.arrival), form.arrival, column)
    else:
        for own, row in zip(data, rows, strict=True):
            own[form.arrival] = row.ms / 1000 if unit == "s" else int(row.ms * factor)
    return data


def _unit_said(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write times in another unit, and say so."""
    if not form.unit:
        return None
    unit = rng.choice(sorted(_PER_S))
    case = _case(form, _in_unit(form, rows, unit), rows)
    return replace(case, keys=form.keys | {"time_unit": unit})


def _unit_unsaid(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write times in another unit: they are read as the format says, or a note says otherwise.

    Where the scenario names the columns and no unit, any reading must be noted.
    """
    if not form.unit:
        return None
    unit = rng.choice(sorted(set(_PER_S) - {form.unit}))
    keys = {key: value for key, value in form.keys.items() if key != "time_unit"}
    scale = _PER_S[unit] / _PER_S[form.unit]
    case = _case(form, _in_unit(form, rows, unit), rows)
    if "columns" in keys:
        return replace(case, keys=keys, must_be_noted=True, scales=_any_unit(scale))
    return replace(case, keys=keys, scales=(1.0, scale))


def _any_unit(scale: float) -> tuple[float, ...]:
    return tuple(scale * step for step in (1.0, 1e-3, 1e-6, 1e-9, 1e3, 1e6, 1e9))


def _dates(write: Callable[[Random, int], str]) -> Meaning:
    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        if form.name not in ("azure.csv", "dated.csv"):
            return None
        cells = form.write(rows)
        at = cells[0].index(form.arrival)
        for row, own in zip(cells[1:], rows, strict=True):
            row[at] = write(rng, own.ms)
        keys = {key: value for key, value in form.keys.items() if key != "time_unit"}
        return replace(_case(form, cells, rows), keys=keys)

    return changed


def _zones(rng: Random, ms: int) -> str:
    return stamp(ms, zone_h=rng.choice((-11, -5, 0, 2, 9)), decimals=6)


def _keys_permuted(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or form.name in ("vllm.json", "guidellm.json"):
        return None
    data = [dict(rng.sample(sorted(row.items()), len(row))) for row in form.write(rows)]
    return _case(form, data, rows, must_be_read=True)


def _keys_more(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or form.name in ("vllm.json", "guidellm.json"):
        return None
    extra = rng.choice(({"model": "x"}, {"x": None}, {"note": {"deep": [1]}}, {"é": 1.5}))
    return _case(form, [row | extra for row in form.write(rows)], rows, must_be_read=True)


def _keys_in_capitals(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "lines" or not form.prompt:
        return None
    data = [{key.upper(): value for key, value in row.items()} for row in form.write(rows)]
    return _case(form, data, rows)


def _times_as_texts(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or not form.arrival:
        return None
    data = form.write(rows)
    for row in data:
        row[form.arrival] = str(row[form.arrival])
    return _case(form, data, rows)


def _dates_in_json(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write times in JSON as dates, which few formats know."""
    if form.kind not in ("lines", "json") or not form.arrival:
        return None
    data = form.write(rows)
    for row, own in zip(data, rows, strict=True):
        row[form.arrival] = _zones(rng, own.ms)
    keys = {key: value for key, value in form.keys.items() if key != "time_unit"}
    return replace(_case(form, data, rows), keys=keys)


def _separator_said(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Say the delimiter in a first line, as spreadsheets do."""
    if form.kind != "table":
        return None
    delimiter = rng.choice(";,|")
    text = f"sep={delimiter}\n" + cells_as_text(form.write(rows), delimiter)
    return _text(form, text, rows)


def _times_apart(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Give one row a time of another unit, as a merge of two logs does."""
    if not form.unit or len(rows) < 3 or form.kind == "parquet":
        return None
    n = rng.randrange(1, len(rows))
    data = form.write(rows)
    far = {"s": 10**9, "ms": 10**12, "us": 10**15, "ns": 10**18}[form.unit]
    if form.kind == "table":
        data[n + 1][data[0].index(form.arrival)] = str(far)
    else:
        data[n][form.arrival] = far
    moved = [*rows[:n], rows[n]._replace(ms=10**12), *rows[n + 1 :]]
    return _case(form, data, moved, must_be_noted=True)


def _as_array(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "lines":
        return None
    return _text(form, json.dumps(form.write(rows), indent=rng.choice((None, 1))), rows)


def _commas_behind(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "lines":
        return None
    return _text(form, "".join(json.dumps(row) + ",\n" for row in form.write(rows)), rows)


def _parquet(change: Callable[[Random, Form, Any], Any]) -> Meaning:
    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        if form.kind != "parquet":
            return None
        return _case(form, change(rng, form, form.write(rows)), rows)

    return changed


def _typed(rng: Random, form: Form, table: Any) -> Any:
    """Give the columns other types that hold the same numbers."""
    counts = (pa.int16(), pa.int32(), pa.uint64(), pa.float64(), pa.float32(), pa.string(), pa.decimal128(30, 3))  # fmt: skip
    times = (pa.float64(), pa.decimal128(38, 6), pa.string())
    for at, name in enumerate(table.column_names):
        type_ = rng.choice(times if name == form.arrival else counts)
        table = table.set_column(at, name, table[name].cast(type_))
    return table


def _table_permuted(rng: Random, form: Form, table: Any) -> Any:
    more = table.append_column("remark", pa.array(["x"] * len(table)))
    return more.select(rng.sample(more.column_names, len(more.column_names)))


def _in_groups(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "parquet":
        return None
    written = io.BytesIO()
    packing = rng.choice(("none", "gzip", "zstd", "snappy"))
    pq.write_table(form.write(rows), written, row_group_size=3, compression=packing)
    return Case(written.getvalue(), rows, form.keys, must_be_read=True)


def _dropped(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Leave out a column that matters."""
    if form.kind not in ("parquet", "table") or not form.arrival:
        return None
    name = rng.choice((form.arrival, form.prompt, form.output))
    if form.name == "blis.csv" and name == form.arrival:
        return None  # arrival_time_us stands for it
    data = form.write(rows)
    if form.kind == "parquet":
        return _case(form, data.drop_columns([name]), rows, refused_at=0)
    at = data[0].index(name)
    return _case(form, [row[:at] + row[at + 1 :] for row in data], rows, refused_at=0)


MEANINGS: dict[str, Meaning] = {
    "untouched": untouched,
    "semicolons": _delimited(";"),
    "tabs": _delimited("\t"),
    "bars": _delimited("|"),
    "lower-case heading": _heading(str.lower),
    "upper-case heading": _heading(str.upper),
    "columns permuted": _table(_columns_permuted),
    "a column more": _table(_column_more),
    "a column twice": _column_twice,
    "quoted": _quoted,
    "spaced": _table(_spaced),
    "trailing commas": _table(_trailing),
    "trailing commas in rows": _table(_trailing_in_rows),
    "a comment": _commented,
    "blank lines": _blank_lines,
    "decimal commas": _decimal_commas,
    "thousands": _thousands,
    "floats": _floats,
    "texts": _as_texts,
    "a wrong length": _wrong_length,
    "a wrong time": _wrong_time,
    "a short row": _short_row,
    "a missing key": _missing_key,
    "a line that is no row": _no_row,
    "two files": _two_files,
    "no heading": _no_heading,
    "an empty answer": _empty_answer,
    "another unit, said": _unit_said,
    "another unit, unsaid": _unit_unsaid,
    "zones": _dates(_zones),
    "dates with T and Z": _dates(lambda rng, ms: stamp(ms, decimals=3).replace(" ", "T") + "Z"),
    "times since 1970 in s": _dates(lambda rng, ms: seconds(1000 * BASE_S + ms)),
    "times since 1970 in ms": _dates(lambda rng, ms: str(1000 * BASE_S + ms)),
    "times since 1970 in us": _dates(lambda rng, ms: str((1000 * BASE_S + ms) * 1000)),
    "times since 1970 in ns": _dates(lambda rng, ms: str((1000 * BASE_S + ms) * 10**6)),
    "keys permuted": _keys_permuted,
    "keys more": _keys_more,
    "keys in capitals": _keys_in_capitals,
    "times as texts": _times_as_texts,
    "dates in JSON": _dates_in_json,
    "a separator said": _separator_said,
    "a time far away": _times_apart,
    "an array": _as_array,
    "commas behind": _commas_behind,
    "columns of other types": _parquet(_typed),
    "columns of Parquet permuted": _parquet(_table_permuted),
    "row groups": _in_groups,
    "a column less": _dropped,
}
"""Changes by name."""


def rearranged(rng: Random) -> list[TraceRow]:
    """Some rows: all, in another order, one less, or one twice."""
    rows = list(ROWS)
    match rng.randrange(5):
        case 0:
            rng.shuffle(rows)
        case 1:
            del rows[rng.randrange(len(rows))]
        case 2:
            rows.append(rng.choice(rows))
        case 3:  # over midnight
            rows = [row._replace(ms=row.ms + 6_397_000) for row in rows]
    return rows


def encoded(rng: Random, content: bytes) -> bytes:
    """A text in another encoding, with other line ends."""
    text = content.decode("utf-8", "replace")
    text = text.replace("\n", rng.choice(("\n", "\r\n", "\r")))
    mark, encoding = rng.choice(
        (
            ("", "utf-8"),
            ("\ufeff", "utf-8"),
            ("\ufeff", "utf-16-le"),
            ("", "utf-16-be"),
            ("\ufeff", "utf-32-le"),
        )
    )
    return (mark + text).encode(encoding, "replace")
