"""Changes of Parquet, and a column that is left out, there or in a table."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.changes.case import Case, Meaning, Rows, case_of
from tests.fuzz.traces import (
    Form,
)


def _parquet(change: Callable[[Random, Form, Any], Any]) -> Meaning:
    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        if form.kind != "parquet":
            return None
        return case_of(form, change(rng, form, form.write(rows)), rows)

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
        return case_of(form, data.drop_columns([name]), rows, refused_at=0)
    at = data[0].index(name)
    return case_of(form, [row[:at] + row[at + 1 :] for row in data], rows, refused_at=0)


CHANGES: dict[str, Meaning] = {
    "columns of other types": _parquet(_typed),
    "columns of Parquet permuted": _parquet(_table_permuted),
    "row groups": _in_groups,
    "a column less": _dropped,
}
"""Changes by name."""
