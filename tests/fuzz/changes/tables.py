"""Changes of tables: delimiters, headings, cells and rows."""

from __future__ import annotations

import csv
from collections.abc import Callable
from random import Random

from tests.fuzz.changes.case import Case, Meaning, Rows, case_of, case_of_text
from tests.fuzz.traces import (
    Form,
    Table,
    cells_as_text,
    content_of,
)


def _table(change: Callable[[Random, Table], Table]) -> Meaning:
    """Make a change of cells that leaves the meaning as it is."""

    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        return case_of(form, change(rng, form.write(rows)), rows) if form.kind == "table" else None

    return changed


def _delimited(delimiter: str) -> Meaning:
    def changed(rng: Random, form: Form, rows: Rows) -> Case | None:
        if form.kind != "table":
            return None
        return case_of_text(form, cells_as_text(form.write(rows), delimiter), rows)

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
    return case_of(form, cells, rows, must_be_noted=True)


def _quoted(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "table":
        return None
    return case_of_text(form, cells_as_text(form.write(rows), quoting=csv.QUOTE_ALL), rows)


def _spaced(rng: Random, cells: Table) -> Table:
    return [[f" {cell}" for cell in row] for row in cells]


def _trailing(rng: Random, cells: Table) -> Table:
    return [[*row, ""] for row in cells]


def _trailing_in_rows(rng: Random, cells: Table) -> Table:
    return [cells[0], *([*row, ""] for row in cells[1:])]


def _commented(rng: Random, form: Form, rows: Rows) -> Case | None:
    text = content_of(form, form.write(rows)).decode("utf-8", "replace")
    return case_of_text(form, "# made by hand\n" + text, rows) if form.kind == "table" else None


def _blank_lines(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("table", "lines"):
        return None
    lines = content_of(form, form.write(rows)).decode().splitlines(keepends=True)
    for _ in range(3):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(("\n", "  \n", "\r\n")))
    return case_of_text(form, "".join(lines), rows)


def _decimal_commas(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "table" or form.unit != "s":
        return None
    cells = form.write(rows)
    at = cells[0].index(form.arrival)
    for row in cells[1:]:
        row[at] = row[at].replace(".", ",")
    return case_of_text(form, cells_as_text(cells, ";"), rows)


def _thousands(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "table" or not form.prompt:
        return None
    longer = [row._replace(prompt=row.prompt + 1000) for row in rows]
    cells = form.write(longer)
    at = cells[0].index(form.prompt)
    for row in cells[1:]:
        row[at] = f"{int(row[at]):,}"
    return case_of_text(form, cells_as_text(cells), longer)


def _short_row(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Cut a row off before a column that matters."""
    if form.kind != "table" or not rows or not form.arrival:
        return None
    n, cells = rng.randrange(len(rows)), form.write(rows)
    last = max(cells[0].index(name) for name in (form.arrival, form.prompt, form.output))
    cells[n + 1] = cells[n + 1][: rng.randrange(1, last + 1)]
    return case_of(form, cells, rows, refused_at=n + 2)


def _two_files(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Repeat the heading between the rows, as `cat a.csv b.csv` does."""
    if form.kind != "table" or not rows:
        return None
    cells = form.write(rows)
    n = rng.randrange(1, len(cells))
    return case_of(form, [*cells[: n + 1], cells[0], *cells[n + 1 :]], rows, refused_at=n + 2)


def _no_heading(rng: Random, form: Form, rows: Rows) -> Case | None:
    return case_of(form, form.write(rows)[1:], rows, refused_at=0) if form.kind == "table" else None


def _separator_said(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Say the delimiter in a first line, as spreadsheets do."""
    if form.kind != "table":
        return None
    delimiter = rng.choice(";,|")
    text = f"sep={delimiter}\n" + cells_as_text(form.write(rows), delimiter)
    return case_of_text(form, text, rows)


CHANGES: dict[str, Meaning] = {
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
    "a short row": _short_row,
    "two files": _two_files,
    "no heading": _no_heading,
    "a separator said": _separator_said,
}
"""Changes by name."""
