"""Tables with one column per run, pool or workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.table import Table

Rows = tuple[tuple[str, str, str], ...]
"""(label, key in a summary, format) of each row."""


def side_by_side(
    names: Iterable[str], rows: Iterable[tuple[str, Iterable[str]]], title: str | None = None
) -> Table:
    """Return a table with a column of labels and one column per name.

    Parameters
    ----------
    names
        Headings of the columns after the column of labels.
    rows
        (label, cells) of each row; the cells are in the order of the names.
    title
        Title of the table. Default: no title.

    Examples
    --------
    >>> side_by_side(["b200", "cs3"], [("nodes", ["1", "4"])]).row_count
    1
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for label, cells in rows:
        table.add_row(label, *cells)
    return table


def rows_of(
    rows: Rows,
    summaries: Sequence[Mapping[str, Any]],
    cell: Callable[[Mapping[str, Any], str, str], str],
) -> Iterable[tuple[str, list[str]]]:
    """Yield (label, cells) of each row for which some summary has a value.

    Parameters
    ----------
    rows
        Rows of the table.
    summaries
        Summaries, one per column.
    cell
        Function of (summary, key, format) that returns the text of a cell.
    """
    for label, key, form in rows:
        if any(summary.get(key) is not None for summary in summaries):
            yield (
                label,
                [
                    "-" if summary.get(key) is None else cell(summary, key, form)
                    for summary in summaries
                ],
            )


def formatted(summary: Mapping[str, Any], key: str, form: str) -> str:
    """Return one value of a summary, formatted by a Python format specification.

    >>> formatted({"rate_per_s": 12.345}, "rate_per_s", ".1f")
    '12.3'
    """
    return format(summary[key], form)
