"""Progress of a reader of a trace: its position in a file, and counts of the omitted rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.workload.traces.clock import TraceClock


@dataclass
class Tally:
    """Counts and notes of a reader of a trace."""

    rows: int = 0
    """Number of rows that were read."""
    failed: int = 0
    """Number of rows omitted because the service did not answer."""
    empty: int = 0
    """Number of rows omitted because the prompt or the answer has no tokens."""
    unsorted: int = 0
    """Number of rows earlier than a row above, which were sorted into their position."""
    others: int = 0
    """Number of requests of subagents, which go to another model and are omitted."""
    branches: int = 0
    """Number of turns after an answer that another turn follows already; each starts a session."""
    warmup: int = 0
    """Number of rows omitted because they are the warm-up of a benchmark client."""
    orphans: int = 0
    """Number of turns after a turn that the file does not have; each starts a session."""
    begun: int = 0
    """Number of requests after `start` that are omitted since their session began before `start`."""
    sessions: int = field(default=0, compare=False)
    """Number of sessions that were read, if the file has whole sessions."""
    zero_s: float | None = field(default=None, compare=False)
    """Time of the file's clock that becomes time zero, before the division by `speedup`; None before
    the first request [s]."""
    clock: TraceClock = field(default_factory=TraceClock, compare=False)
    """Clock of the file."""
    prefixes_apart: bool = False
    """Whether the file counts the shared beginnings of prompts separately from their rest."""
    notes: list[str] = field(default_factory=list)
    """Notes on how the file was read, with reasons."""
    unused: list[str] = field(default_factory=list)
    """Names of columns or keys of the file that the replay does not use."""

    def begin_at(self, zero_s: float) -> None:
        """Set the time at which the replay begins, given since the origin of the clock [s]."""
        self.zero_s = (self.clock.origin_s or 0) + zero_s

    def note(self, sentence: str) -> None:
        """Add a note, unless it exists already."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def note_unused(self, names: Iterable[str]) -> None:
        """Add names of columns or keys that the replay does not use."""
        self.unused += [name for name in names if name not in self.unused]

    def said(self) -> Iterator[str]:
        """Yield all notes, and a sentence for each kind of row that was omitted or changed."""
        yield from self.notes
        if self.unused:
            yield f"not used: {', '.join(self.unused)}"
        if self.failed:
            yield f"{self.failed:,} of {self.rows:,} rows are omitted: they are failures without an answer"
        if self.warmup:
            yield f"{self.warmup:,} of {self.rows:,} rows are omitted: they are the client's warm-up"
        if self.empty:
            yield f"{self.empty:,} of {self.rows:,} rows are omitted: they have no prompt or no answer"
        if self.unsorted:
            yield f"{self.unsorted:,} of {self.rows:,} rows are earlier than a row above and were sorted"
        if self.others:
            yield f"{self.others:,} requests of subagents are omitted: they go to another model"
        if self.orphans:
            yield f"{self.orphans:,} turns follow a turn that the file does not have; they start sessions"
        if self.begun:
            yield f"{self.begun:,} requests after the start are omitted: their sessions began before it; replay: timestamps keeps requests that have times"
        if self.branches:
            yield f"{self.branches:,} turns follow an answer that another turn follows too; they start new sessions at their recorded times"


class Place:
    """File and line of the last row of a reader."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._line: Callable[[], int] = lambda: 0
        self._name: Callable[[int], str] | None = None
        self.time_column: str | None = None
        """Column of times, for messages; None if the format knows it."""

    def enter(self, file: str, line: int = 0) -> None:
        """Continue in another file, at this line; 0 denotes the whole file."""
        self._file, self._line, self._name = file, lambda: line, None

    def name_rows(self, name: Callable[[int], str]) -> None:
        """Set the function that returns the location of a row, given its number, for messages.

        It serves files whose rows are not lines; `name` may read the file again.
        """
        self._name = name

    def follow(self, line: Callable[[], int]) -> None:
        """Set the function that returns the number of the current line."""
        self._line = line

    def line(self) -> int:
        """Return the number of the current line; 0 for the whole file."""
        return self._line()

    def refuse(self, what: str) -> NoReturn:
        """Raise ScenarioError at the current line."""
        self.refuse_at(self.line(), what)

    def refuse_at(self, line: int, what: str) -> NoReturn:
        """Raise ScenarioError at a line, or for the whole file if the line is 0."""
        if not line:
            raise ScenarioError.at(self._file, what)
        name = f"{self._file}:{line}" if self._name is None else self._name(line)
        raise ScenarioError.at(name, what)

    def refuse_text(self, text: str, expected: str, line: int | None = None) -> NoReturn:
        """Raise ScenarioError that `text` was got and something else was expected.

        `line` defaults to the current line.
        """
        fault = f"got {shown(text)}; expected {expected}"
        self.refuse_at(self.line() if line is None else line, fault)
