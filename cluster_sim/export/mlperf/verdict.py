"""Whether LoadGen would accept a run."""

from __future__ import annotations

from dataclasses import dataclass

MIN_DURATION_S = 600.0
"""Least duration of a run, of mlperf.conf [s]."""
MIN_QUERIES = 100
"""Least number of queries of the Server scenario, of mlperf.conf."""
TARGET_PERCENT = 99.0
"""Percentile of the Server scenario's limits, of mlperf.conf.

The confidence that early stopping asks for follows from it."""

_TOO_LATE = 1.0 - TARGET_PERCENT / 100


@dataclass(frozen=True)
class Verdict:
    """Whether a run would count."""

    perf_constraints: bool
    """Whether p99 of the time to first token and per output token meets the scenario's objectives;
    those that are not given are always met."""
    min_duration: bool
    """Whether the run is long enough."""
    min_queries: bool
    """Whether it has enough queries."""
    ttft_more: int
    """Number of further queries, none of them late, that would make the percentile of the time to
    first token certain; 0 if early stopping is satisfied."""
    tpot_more: int
    """Number of further queries that would make the percentile of the time per output token
    certain."""

    @property
    def early_stopping(self) -> bool:
        """Whether there are enough queries for the percentiles to be trusted."""
        return not self.ttft_more and not self.tpot_more

    @property
    def valid(self) -> bool:
        """Whether all conditions hold."""
        return (
            self.perf_constraints and self.min_duration and self.min_queries and self.early_stopping
        )


def more_queries(queries: int, late: int) -> int:
    """Return how many more queries, none late, would make it 99 % sure that at most 1 % are.

    The least n with P(at most `late` of n are late) <= 1 % where 1 % are late in truth. Source:
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
