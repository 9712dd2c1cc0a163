"""Headings of tables: the names of the columns, and their delimiter."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from cluster_sim.workload.traces.files import opened

DELIMITERS = ",;\t|"
"""Known delimiters; if two give equally many columns, the first one is chosen."""


class Heading(NamedTuple):
    """First row of a table."""

    names: tuple[str, ...]
    """Names of the columns; empty for a file without text."""
    delimiter: str
    """Character between two columns."""
    line: int
    """Line at which the heading begins."""
    lines: int
    """Number of lines of the file until the end of the heading."""
    ends_plainly: bool
    """Whether these lines all end with a line feed, with or without a carriage return."""

    @property
    def numbers(self) -> int:
        """Number of columns with a number as name."""
        return sum(map(_is_number, self.names))


def heading_of(path: str) -> Heading:
    """Return the heading of a file; blank lines before the heading are skipped.

    A first line such as `sep=;`, as spreadsheets write it, gives the delimiter.
    """
    with opened(path) as text:
        ends = _LineEnds()
        lines = ends.watched(text)
        before, given = 0, ""
        for line in lines:
            plain = line.strip("\ufeff \t\r\n")
            if plain[:4].casefold() == "sep=" and len(plain) == 5 and not given:
                given = plain[4]
            elif plain:
                break
            before += 1
        else:
            return Heading((), ",", before, before, ends_plainly=True)
        first = line.lstrip("\ufeff")
        delimiter = given or max(DELIMITERS, key=lambda own: len(_fields([first], own)[0]))
        row, count = _fields(chain([first], lines), delimiter)
        names = tuple(name.strip() for name in row)
        return Heading(names, delimiter, before + 1, before + count, ends_plainly=ends.are_plain)


class _LineEnds:
    """Line ends of the lines that were read."""

    def __init__(self) -> None:
        self.are_plain = True
        """Whether no line ends with a carriage return alone."""

    def watched(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines unchanged, and check their ends."""
        for line in lines:
            self.are_plain &= not line.endswith("\r")
            yield line


def _fields(lines: Iterable[str], delimiter: str) -> tuple[list[str], int]:
    """Return the fields of the first row, and the number of lines that the row takes."""
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
