"""Headings of tables: the names of the columns, and what stands between them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from cluster_sim.workload.traces.files import opened

DELIMITERS = ",;\t|"
"""Delimiters that are known; where two give as many columns, the first of them."""


class Heading(NamedTuple):
    """First row of a table."""

    names: tuple[str, ...]
    """Names of the columns; none for a file without text."""
    delimiter: str
    """What stands between them."""
    line: int
    """Line at which it begins."""
    lines: int
    """Number of lines until its end."""
    ends_plainly: bool
    """Whether all lines until its end end with a line feed, with or without a carriage return."""

    @property
    def numbers(self) -> int:
        """Number of columns whose name is a number."""
        return sum(map(_is_number, self.names))


def heading_of(path: str) -> Heading:
    """Return the heading of a file; blank lines before it are passed over.

    A first line such as `sep=;`, as spreadsheets write it, says the delimiter.
    """
    with opened(path) as text:
        ends = _LineEnds()
        lines = ends.watched(text)
        before, said = 0, ""
        for line in lines:
            plain = line.strip("\ufeff \t\r\n")
            if plain[:4].casefold() == "sep=" and len(plain) == 5 and not said:
                said = plain[4]
            elif plain:
                break
            before += 1
        else:
            return Heading((), ",", before, before, ends_plainly=True)
        first = line.lstrip("\ufeff")
        delimiter = said or max(DELIMITERS, key=lambda own: len(_fields([first], own)[0]))
        row, count = _fields(chain([first], lines), delimiter)
        names = tuple(name.strip() for name in row)
        return Heading(names, delimiter, before + 1, before + count, ends_plainly=ends.are_plain)


class _LineEnds:
    """Ends of the lines that were read."""

    def __init__(self) -> None:
        self.are_plain = True
        """Whether none is a carriage return alone."""

    def watched(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines as they are."""
        for line in lines:
            self.are_plain &= not line.endswith("\r")
            yield line


def _fields(lines: Iterable[str], delimiter: str) -> tuple[list[str], int]:
    """Return the first row of these lines, and the number of its lines."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        return next(reader, []), reader.line_num
    except csv.Error:
        return [], 1


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
