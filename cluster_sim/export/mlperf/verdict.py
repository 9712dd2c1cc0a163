"""Verdict on a run by the rules of LoadGen."""

from __future__ import annotations

from dataclasses import dataclass

MIN_DURATION_S = 600.0
"""Minimum duration of a run in mlperf.conf [s]."""
MIN_QUERIES = 100
"""Minimum number of queries of the Server scenario in mlperf.conf."""
TARGET_PERCENT = 99.0
"""Percentile of the limits of the Server scenario in mlperf.conf.

It also gives the confidence that early stopping requires."""

_TOO_LATE = 1.0 - TARGET_PERCENT / 100


@dataclass(frozen=True)
class Verdict:
    """Conditions that a valid run must meet."""

    perf_constraints: bool
    """Whether p99 of the time to first token and of the time per output token meet the objectives of
    the scenario; objectives that are not given are always met."""
    min_duration: bool
    """Whether the run is long enough."""
    min_queries: bool
    """Whether the run has enough queries."""
    ttft_more: int
    """Number of further queries within the limit that would confirm the percentile of the time to
    first token; 0 if early stopping is satisfied."""
    tpot_more: int
    """Number of further queries within the limit that would confirm the percentile of the time per
    output token; 0 if early stopping is satisfied."""

    @property
    def early_stopping(self) -> bool:
        """Whether there are enough queries to confirm both percentiles."""
        return not self.ttft_more and not self.tpot_more

    @property
    def valid(self) -> bool:
        """Whether all conditions hold."""
        return (
            self.perf_constraints and self.min_duration and self.min_queries and self.early_stopping
        )


def more_queries(queries: int, late: int) -> int:
    """Return the number of further queries, all within the limit, that early stopping requires.

    They give 99 % confidence that at most 1 % of queries are late: n is the smallest number of queries
    for which P(at most `late` of n are late) <= 1 % if the true share of late queries is 1 %. Source:
    MLPerf inference rules, early stopping.

    >>> more_queries(54, 0), more_queries(459, 0)
    (405, 0)
    """
    from scipy.special import bdtr

    def enough(count: int) -> bool:
        return bool(bdtr(late, count, _TOO_LATE) <= _TOO_LATE)

    if enough(queries):
        return 0
    low, high = queries, max(2 * queries, 1)
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - queries
