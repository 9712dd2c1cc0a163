"""How far a reader of a trace is: its place in a file, and what it has left out so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from cluster_sim.errors import ScenarioError, shown


@dataclass
class Tally:
    """Counts of what a reader met on its way."""

    rows: int = 0
    """Number of rows that were read."""
    failed: int = 0
    """Number of rows left out because the service answered nothing."""
    empty: int = 0
    """Number of rows left out because the prompt or the answer has no tokens."""
    unsorted: int = 0
    """Number of rows earlier than a row above, which were put in their place."""
    others: int = 0
    """Number of requests of subagents, which go to another model and are left out."""

    def said(self) -> Iterator[str]:
        """Yield a sentence for each kind of row that was not taken as it stood."""
        if self.failed:
            yield f"{self.failed:,} of {self.rows:,} rows are failures (no answer) and left out"
        if self.empty:
            yield f"{self.empty:,} of {self.rows:,} rows have no prompt or no answer and are left out"
        if self.unsorted:
            yield f"{self.unsorted:,} of {self.rows:,} rows are earlier than a row above and put in their place"
        if self.others:
            yield f"{self.others:,} requests of subagents go to another model and are left out"


class Place:
    """File and line of the row that a reader has just given."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._line: Callable[[], int] = lambda: 0

    def enter(self, file: str, line: int = 0) -> None:
        """Go on in another file, at this line; 0 stands for the whole file."""
        self._file, self._line = file, lambda: line

    def follow(self, line: Callable[[], int]) -> None:
        """Take the number of the present line from `line` from now on."""
        self._line = line

    def line(self) -> int:
        """Return the number of the present line; 0 for the whole file."""
        return self._line()

    def refuse(self, what: str) -> NoReturn:
        """Raise ScenarioError at this line."""
        self.refuse_at(self.line(), what)

    def refuse_at(self, line: int, what: str) -> NoReturn:
        """Raise ScenarioError at that line, or for the file where it is 0."""
        raise ScenarioError.at(f"{self._file}:{line}" if line else self._file, what)

    def refuse_text(self, text: str, expected: str, line: int | None = None) -> NoReturn:
        """Raise ScenarioError that says what was expected in place of `text`.

        `line` defaults to the present one.
        """
        fault = f"came {shown(text)}; wanted {expected}"
        self.refuse_at(self.line() if line is None else line, fault)
