"""Sorting of the rows of a trace in order of time; a row may be late by some thousand rows."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.rows import NONE, Batch
from cluster_sim.workload.traces.sort_commands import way_to_sort
from cluster_sim.workload.traces.source import TraceSource

_AHEAD = 8192
"""Number of rows that are buffered, so that later rows can be sorted before them."""
_LATEST = 1024
"""Number of recently read rows by which an unsorted file is recognised."""
_MAX_EARLY = 0.25
"""Share of the recently read rows that may fall into the earlier half of the buffer. In a shuffled
file this share is one half; if rows are late by less than half of `_AHEAD`, it is 0."""

LONG_GAP_S = 30 * 86_400.0
"""Time without a request above which a note is added [s]. A timestamp of 0, or in another unit,
gives a gap of years."""


class GapWatch:
    """Note on the first long gap between ascending times.

    Parameters
    ----------
    tally
        Notes of the trace.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._before_s: float | None = None
        self._is_noted = False

    def see(self, times_s: np.ndarray) -> None:
        """Check the gaps before and between the next times [s]."""
        if self._is_noted or not len(times_s):
            return
        self.see_one(float(times_s[0]))
        if times_s[-1] - times_s[0] > LONG_GAP_S:
            self._note(float(np.max(np.diff(times_s))))
        self._before_s = float(times_s[-1])

    def see_one(self, time_s: float) -> None:
        """Check the gap before the next time [s]."""
        if self._before_s is not None:
            self._note(time_s - self._before_s)
        self._before_s = time_s

    def _note(self, gap_s: float) -> None:
        if gap_s > LONG_GAP_S and not self._is_noted:
            self._is_noted = True
            self._tally.note(
                f"the trace has a gap of {gap_s / 86_400:,.0f} days without a request; use start and limit to omit the rows before or after the gap"
            )


class RowOrder:
    """Buffer of rows that wait until no later row can be earlier in time."""

    def __init__(self, source: TraceSource, *, is_spread: bool) -> None:
        """Begin with an empty buffer.

        Parameters
        ----------
        source
            Trace, with the position of the reader, and the counts of rows and of late rows.
        is_spread
            Whether times are spread over a period after their timestamps. Then all rows are due that
            no later row can precede, whatever their number, as long as no row is late.
        """
        self._source, self._tally, self._is_spread = source, source.tally, is_spread
        self._ahead = NONE
        self._latest = NONE
        """Recently read rows, in the order of the file."""
        self._latest_s = self._given_s = float("-inf")
        self._gaps = GapWatch(source.tally)

    def read(self, batch: Batch) -> None:
        """Count the rows of a batch, and the late rows among them.

        Raises ScenarioError for a row that is too late to be sorted.
        """
        self._tally.rows += len(batch.time_s)
        before_s = np.maximum.accumulate(np.concatenate([[self._latest_s], batch.time_s]))
        is_late = batch.time_s < before_s[:-1]
        self._latest_s = float(before_s[-1])
        if not np.any(is_late):
            return
        self._tally.unsorted += int(np.sum(is_late))
        lost = np.nonzero(batch.time_s < self._given_s)[0]
        if len(lost):
            by_s = self._given_s - batch.time_s[lost[0]]
            self._refuse(
                int(batch.line[lost[0]]),
                f"is {by_s:.3f} s earlier than a row {_AHEAD:,} rows above",
                is_reversed=False,
            )

    def put(self, batch: Batch) -> Batch | None:
        """Add the requests of a batch to the buffer; return the requests that are due, or None.

        Raises ScenarioError if the rows are in reverse order, or unsorted.
        """
        self._latest = _ends_of(self._latest, batch)
        ahead = self._ahead.then(batch)
        if np.any(np.diff(ahead.time_s) < 0.0):
            ahead = ahead.take(np.argsort(ahead.time_s, kind="stable"))
        due = max(len(ahead.time_s) - _AHEAD, 0)
        if self._is_spread:
            before = int(np.searchsorted(ahead.time_s, self._latest_s))
            due = min(due, before) if self._tally.unsorted else before
        self._ahead = ahead
        if not due:
            return None
        if self._tally.unsorted:
            self._refuse_disorder(ahead.time_s)
        self._given_s = float(ahead.time_s[due - 1])
        self._ahead = ahead.take(np.arange(due, len(ahead.time_s)))
        self._gaps.see(ahead.time_s[:due])
        return ahead.take(np.arange(due))

    def rest(self) -> Batch:
        """Return the remaining requests after all rows were read."""
        self._gaps.see(self._ahead.time_s)
        return self._ahead

    def _refuse_disorder(self, ahead_s: np.ndarray) -> None:
        """Raise ScenarioError if rows earlier than the due rows are likely to follow.

        Recently read rows belong near the end of the buffer. If many of them fall into its earlier
        half, the file is in reverse order or shuffled. `ahead_s` are the sorted times of the buffer
        [s].
        """
        latest_s = self._latest.time_s
        is_early = latest_s < ahead_s[len(ahead_s) // 2]
        if np.mean(is_early) <= _MAX_EARLY:
            return
        is_reversed = bool(np.mean(latest_s < ahead_s[len(ahead_s) // 4]) > 0.9)
        self._refuse(
            int(self._latest.line[np.argmax(is_early)]),
            f"got rows {'newest first' if is_reversed else 'that are not sorted'}",
            is_reversed=is_reversed,
        )

    def _refuse(self, line: int, fault: str, *, is_reversed: bool) -> NoReturn:
        """Raise ScenarioError at a line, with a command that sorts the file."""
        place = self._source.place
        way = way_to_sort(self._source.path, place.time_column, is_reversed=is_reversed)
        place.refuse_at(line, f"{fault}; expected rows nearly in order of time: {way}")


def _ends_of(above: Batch, below: Batch) -> Batch:
    """Return the times and lines of the last rows of both batches."""
    time_s = np.concatenate([above.time_s, below.time_s])[-_LATEST:]
    line = np.concatenate([above.line, below.line])[-_LATEST:]
    return NONE._replace(time_s=time_s, line=line)
