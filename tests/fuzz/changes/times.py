"""Changes of times: their unit, dates and zones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pyarrow as pa

from tests.fuzz.changes.case import Case, Meaning, Rows, case_of
from tests.fuzz.traces import (
    BASE_S,
    Form,
    seconds,
    stamp,
)

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
    case = case_of(form, _in_unit(form, rows, unit), rows)
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
    case = case_of(form, _in_unit(form, rows, unit), rows)
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
        return replace(case_of(form, cells, rows), keys=keys)

    return changed


def _zones(rng: Random, ms: int) -> str:
    return stamp(ms, zone_h=rng.choice((-11, -5, 0, 2, 9)), decimals=6)


def _times_as_texts(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or not form.arrival:
        return None
    data = form.write(rows)
    for row in data:
        row[form.arrival] = str(row[form.arrival])
    return case_of(form, data, rows)


def _dates_in_json(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write times in JSON as dates, which few formats know."""
    if form.kind not in ("lines", "json") or not form.arrival:
        return None
    data = form.write(rows)
    for row, own in zip(data, rows, strict=True):
        row[form.arrival] = _zones(rng, own.ms)
    keys = {key: value for key, value in form.keys.items() if key != "time_unit"}
    return replace(case_of(form, data, rows), keys=keys)


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
    return case_of(form, data, moved, must_be_noted=True)


CHANGES: dict[str, Meaning] = {
    "another unit, said": _unit_said,
    "another unit, unsaid": _unit_unsaid,
    "zones": _dates(_zones),
    "dates with T and Z": _dates(lambda rng, ms: stamp(ms, decimals=3).replace(" ", "T") + "Z"),
    "times since 1970 in s": _dates(lambda rng, ms: seconds(1000 * BASE_S + ms)),
    "times since 1970 in ms": _dates(lambda rng, ms: str(1000 * BASE_S + ms)),
    "times since 1970 in us": _dates(lambda rng, ms: str((1000 * BASE_S + ms) * 1000)),
    "times since 1970 in ns": _dates(lambda rng, ms: str((1000 * BASE_S + ms) * 10**6)),
    "times as texts": _times_as_texts,
    "dates in JSON": _dates_in_json,
    "a time far away": _times_apart,
}
"""Changes by name."""
