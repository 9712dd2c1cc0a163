"""Check of columns called `time` that may have latencies, and not arrival times."""

from __future__ import annotations

import numpy as np

_MAX_LATENCY_S = 100.0
"""Maximum value of an unsorted column that may have latencies [s]."""
_IN_NO_ORDER = (0.25, 0.75)
"""Range of the share of rows earlier than the row above in which a column counts as unsorted."""


class TimesInNoOrder:
    """Counter of times that are earlier than the time above."""

    def __init__(self) -> None:
        self._rows = self._earlier = 0
        self._least_s, self._greatest_s = np.inf, -np.inf

    def count(self, times_s: np.ndarray) -> None:
        """Add the times of some rows [s]."""
        if not len(times_s):
            return
        self._rows += len(times_s)
        self._earlier += int(np.sum(np.diff(times_s) < 0.0))
        self._least_s = min(self._least_s, float(times_s.min()))
        self._greatest_s = max(self._greatest_s, float(times_s.max()))

    def note(self, name: str, origin_s: int) -> str | None:
        """Return a note on a column whose times count from `origin_s` [s]; None if it is sorted."""
        least, most = _IN_NO_ORDER
        if not least * self._rows < self._earlier < most * self._rows:
            return None
        if self._least_s + origin_s < 0.0 or self._greatest_s + origin_s >= _MAX_LATENCY_S:
            return None
        return f"{name} is not sorted and stays below {_MAX_LATENCY_S:g} s, so it may have latencies; write columns: {{arrival: …}} with the column of arrivals"
