"""Columns called `time` that hold how long requests took rather than when they came."""

from __future__ import annotations

import numpy as np

_MAX_LATENCY_S = 100.0
"""Time below which a column in no order may hold latencies [s]."""
_IN_NO_ORDER = (0.25, 0.75)
"""Shares of rows earlier than the row above between which a column is in no order."""


class TimesInNoOrder:
    """Count of times that are earlier than the one above."""

    def __init__(self) -> None:
        self._rows = self._earlier = 0
        self._least_s, self._greatest_s = np.inf, -np.inf

    def count(self, times_s: np.ndarray) -> None:
        """Add the times of some rows."""
        if not len(times_s):
            return
        self._rows += len(times_s)
        self._earlier += int(np.sum(np.diff(times_s) < 0.0))
        self._least_s = min(self._least_s, float(times_s.min()))
        self._greatest_s = max(self._greatest_s, float(times_s.max()))

    def note(self, name: str, origin_s: int) -> str | None:
        """Return what is to be said of a column whose times count from `origin_s`; None for nothing."""
        least, most = _IN_NO_ORDER
        if not least * self._rows < self._earlier < most * self._rows:
            return None
        if self._least_s + origin_s < 0.0 or self._greatest_s + origin_s >= _MAX_LATENCY_S:
            return None
        return f"{name} goes up and down and stays below {_MAX_LATENCY_S:g} s: it may hold how long requests took; write columns: {{arrival: …}} with the column of arrivals"
