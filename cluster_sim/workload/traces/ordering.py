"""Rows of a trace in order of time, where a row may be late by some thousand rows."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.rows import NONE, Batch
from cluster_sim.workload.traces.sort_commands import way_to_sort
from cluster_sim.workload.traces.source import TraceSource

_AHEAD = 8192
"""Number of rows that are kept back so that later ones may still be put before them."""
_LATEST = 1024
"""Number of rows read last by which a file without order is known."""
_MAX_EARLY = 0.25
"""Share of the rows read last that may fall into the earlier half of those that are kept back: half
of them do in a shuffled file, and none where rows are late by less than half of `_AHEAD`."""

LONG_GAP_S = 30 * 86_400.0
"""Time without a request that is said: a stamp of 0, or of another unit, makes one of years [s]."""


class GapWatch:
    """Note on the first long gap between ascending times.

    Parameters
    ----------
    tally
        Where it is noted.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._before_s: float | None = None
        self._is_noted = False

    def see(self, times_s: np.ndarray) -> None:
        """Look at the next times [s]."""
        if self._is_noted or not len(times_s):
            return
        self.see_one(float(times_s[0]))
        if times_s[-1] - times_s[0] > LONG_GAP_S:
            self._note(float(np.max(np.diff(times_s))))
        self._before_s = float(times_s[-1])

    def see_one(self, time_s: float) -> None:
        """Look at the next time [s]."""
        if self._before_s is not None:
            self._note(time_s - self._before_s)
        self._before_s = time_s

    def _note(self, gap_s: float) -> None:
        if gap_s > LONG_GAP_S and not self._is_noted:
            self._is_noted = True
            self._tally.note(
                f"no request comes for {gap_s / 86_400:,.0f} days within the trace, as its times say; start and limit leave out what lies apart"
            )


class RowOrder:
    """Rows that wait until no row to come can be earlier."""

    def __init__(self, source: TraceSource, *, is_spread: bool) -> None:
        """Begin without rows.

        Parameters
        ----------
        source
            Trace, with the place where rows are read, and the counts of rows and of late ones.
        is_spread
            Whether times are spread over a while after their stamps: then those rows are due before
            which none to come can fall, however many there are, as long as no row is late.
        """
        self._source, self._tally, self._is_spread = source, source.tally, is_spread
        self._ahead = NONE
        self._latest = NONE
        """Rows that were read last, in the order of the file."""
        self._latest_s = self._given_s = float("-inf")
        self._gaps = GapWatch(source.tally)

    def read(self, batch: Batch) -> None:
        """Count the rows as they were read, and those that are late.

        Raises ScenarioError for a row that is too late to be put in its place.
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
        """Add the requests of the rows that were read; return those that are due, if any.

        Raises ScenarioError where the rows run backwards, or are in no order.
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
        """Return the requests that are left when all rows were read."""
        self._gaps.see(self._ahead.time_s)
        return self._ahead

    def _refuse_disorder(self, ahead_s: np.ndarray) -> None:
        """Raise ScenarioError where earlier rows than those that are due are likely to come.

        Rows that were read last belong behind those above them. Where many fall into the earlier
        half of all that wait, the file runs backwards or is shuffled. `ahead_s` are the times of
        those that wait, in order [s].
        """
        latest_s = self._latest.time_s
        is_early = latest_s < ahead_s[len(ahead_s) // 2]
        if np.mean(is_early) <= _MAX_EARLY:
            return
        is_reversed = bool(np.mean(latest_s < ahead_s[len(ahead_s) // 4]) > 0.9)
        self._refuse(
            int(self._latest.line[np.argmax(is_early)]),
            f"got rows {'newest first' if is_reversed else 'in no order'}",
            is_reversed=is_reversed,
        )

    def _refuse(self, line: int, fault: str, *, is_reversed: bool) -> NoReturn:
        """Raise ScenarioError at this line, with a way to sort the file."""
        place = self._source.place
        way = way_to_sort(self._source.path, place.time_column, is_reversed=is_reversed)
        place.refuse_at(line, f"{fault}; expected rows nearly in order of time: {way}")


def _ends_of(above: Batch, below: Batch) -> Batch:
    """Return the last rows of both, their times and lines alone."""
    time_s = np.concatenate([above.time_s, below.time_s])[-_LATEST:]
    line = np.concatenate([above.line, below.line])[-_LATEST:]
    return NONE._replace(time_s=time_s, line=line)
