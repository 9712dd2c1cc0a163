"""How far a reader of a trace is: its place in a file, and what it has left out so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.workload.traces.clock import TraceClock


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
    branches: int = 0
    """Number of turns beside an earlier one that follows the same answer; each starts a session."""
    warmup: int = 0
    """Number of rows left out because a benchmark client sent them to warm up."""
    orphans: int = 0
    """Number of turns that follow one that the file does not hold; each starts a session."""
    begun: int = 0
    """Number of requests after the start that are left out since their session began before it."""
    sessions: int = field(default=0, compare=False)
    """Number of sessions that were read, where a file holds them whole."""
    zero_s: float | None = field(default=None, compare=False)
    """Time of the file's clock at which a replay begins, to be added to its times before they are
    divided by `speedup`; None before the first request [s]."""
    clock: TraceClock = field(default_factory=TraceClock, compare=False)
    """Clock of the file."""
    prefixes_apart: bool = False
    """Whether the file counts the shared beginnings of prompts apart from what follows them."""
    notes: list[str] = field(default_factory=list)
    """Sentences on how the file was read, and what decided."""
    unused: list[str] = field(default_factory=list)
    """Names of columns or keys that the file holds and the replay does not use."""

    def begin_at(self, zero_s: float) -> None:
        """Note at which time of the file, since the origin of its clock, a replay begins [s]."""
        self.zero_s = (self.clock.origin_s or 0) + zero_s

    def note(self, sentence: str) -> None:
        """Add a sentence, unless it is there already."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def note_unused(self, names: Iterable[str]) -> None:
        """Add names of columns or keys that the replay does not use."""
        self.unused += [name for name in names if name not in self.unused]

    def said(self) -> Iterator[str]:
        """Yield a sentence for each kind of row that was not taken as it stood."""
        yield from self.notes
        if self.unused:
            yield f"not used: {', '.join(self.unused)}"
        if self.failed:
            yield f"{self.failed:,} of {self.rows:,} rows are failures (no answer) and left out"
        if self.warmup:
            yield f"{self.warmup:,} of {self.rows:,} rows are the client's warm-up and left out"
        if self.empty:
            yield f"{self.empty:,} of {self.rows:,} rows have no prompt or no answer and are left out"
        if self.unsorted:
            yield f"{self.unsorted:,} of {self.rows:,} rows are earlier than a row above and put in their place"
        if self.others:
            yield f"{self.others:,} requests of subagents go to another model and are left out"
        if self.orphans:
            yield f"{self.orphans:,} turns follow a turn that the file does not hold; they start sessions"
        if self.begun:
            yield f"{self.begun:,} requests after the start belong to sessions that began before it and are left out; replay: timestamps keeps those that have times"
        if self.branches:
            yield f"{self.branches:,} turns follow an answer that another turn follows too; they start sessions of their own at their recorded times"


class Place:
    """File and line of the row that a reader has just given."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._line: Callable[[], int] = lambda: 0
        self._name: Callable[[int], str] | None = None
        self.time_column: str | None = None
        """Column of times, for messages; None where the format knows it."""

    def enter(self, file: str, line: int = 0) -> None:
        """Go on in another file, at this line; 0 stands for the whole file."""
        self._file, self._line, self._name = file, lambda: line, None

    def name_rows(self, name: Callable[[int], str]) -> None:
        """Take the place of a row, for messages, from `name` and its number from now on.

        It is for files whose rows are not their lines; `name` may read the file again.
        """
        self._name = name

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
        if not line:
            raise ScenarioError.at(self._file, what)
        name = f"{self._file}:{line}" if self._name is None else self._name(line)
        raise ScenarioError.at(name, what)

    def refuse_text(self, text: str, expected: str, line: int | None = None) -> NoReturn:
        """Raise ScenarioError that says what was expected in place of `text`.

        `line` defaults to the present one.
        """
        fault = f"got {shown(text)}; expected {expected}"
        self.refuse_at(self.line() if line is None else line, fault)
