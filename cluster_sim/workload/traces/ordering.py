"""Rows of a trace in order of time, where a row may be late by some thousand rows."""

from __future__ import annotations

import numpy as np

from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.rows import NONE, Batch

_AHEAD = 8192
"""Number of rows that are kept back so that later ones may still be put before them."""


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

    def __init__(self, place: Place, tally: Tally, *, is_spread: bool) -> None:
        """Begin without rows.

        Parameters
        ----------
        place
            Where rows are read, for the message on one that is too late.
        tally
            Counts of rows, and of those that are late.
        is_spread
            Whether times are spread over a while after their stamps: then those rows are due before
            which none to come can fall, however many there are.
        """
        self._place, self._tally, self._is_spread = place, tally, is_spread
        self._ahead = NONE
        self._latest_s = self._given_s = float("-inf")
        self._gaps = GapWatch(tally)

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
            self._place.refuse_at(
                int(batch.line[lost[0]]),
                f"is {by_s:.3f} s earlier than a row {_AHEAD:,} rows above; expected rows nearly in order of time",
            )

    def put(self, batch: Batch) -> Batch | None:
        """Add the requests of the rows that were read; return those that are due, if any."""
        ahead = self._ahead.then(batch)
        if np.any(np.diff(ahead.time_s) < 0.0):
            ahead = ahead.take(np.argsort(ahead.time_s, kind="stable"))
        due = (
            int(np.searchsorted(ahead.time_s, self._latest_s))
            if self._is_spread
            else max(len(ahead.time_s) - _AHEAD, 0)
        )
        self._ahead = ahead
        if not due:
            return None
        self._given_s = float(ahead.time_s[due - 1])
        self._ahead = ahead.take(np.arange(due, len(ahead.time_s)))
        self._gaps.see(ahead.time_s[:due])
        return ahead.take(np.arange(due))

    def rest(self) -> Batch:
        """Return the requests that are left when all rows were read."""
        self._gaps.see(self._ahead.time_s)
        return self._ahead
