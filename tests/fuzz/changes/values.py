"""Changes of the values of single rows."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from tests.fuzz.changes.case import Case, Meaning, Rows, case_of
from tests.fuzz.traces import (
    Form,
)


def _floats(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write lengths as 374.0."""
    if form.times == "":
        return None
    longer = [row._replace(prompt=float(row.prompt), output=float(row.output)) for row in rows]
    return case_of(form, form.write(longer), rows)


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
    return case_of(form, form.write(damaged), rows, refused_at=line)


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
    return case_of(form, data, rows, refused_at=form.first_line + n if form.first_line else 0)


def _empty_answer(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Set a length to 0: such a row is left out, and counted."""
    if form.times == "" or len(rows) < 2:
        return None
    n = rng.randrange(1, len(rows))
    silent = rows[n]._replace(output=0)
    left = [*rows[:n], *rows[n + 1 :]]
    data = form.write([*rows[:n], silent, *rows[n + 1 :]])
    return case_of(form, data, left, must_be_noted=True)


CHANGES: dict[str, Meaning] = {
    "floats": _floats,
    "a wrong length": _wrong_length,
    "a wrong time": _wrong_time,
    "an empty answer": _empty_answer,
}
"""Changes by name."""
