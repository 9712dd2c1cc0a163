"""Queries of a run, measured and judged by the rules of LoadGen."""

from __future__ import annotations

import numpy as np

from cluster_sim.export.benchmark import nanoseconds
from cluster_sim.export.client_load import declared_load
from cluster_sim.export.client_view import Answers
from cluster_sim.export.mlperf.verdict import (
    MIN_DURATION_S,
    MIN_QUERIES,
    TARGET_PERCENT,
    Verdict,
    more_queries,
)
from cluster_sim.export.percentiles import ranked
from cluster_sim.typing import Array
from cluster_sim.workload.arrivals import ClientLoad


class Queries:
    """Latencies of the finished requests outside the warm-up, and the verdict on the run.

    The scenario is Offline if all requests arrive at time zero, else Server. Times are whole
    nanoseconds. A percentile is the sorted value at the index floor(n·p). Time per output token is
    (latency - first token)/(tokens - 1), for answers of several tokens. The run is judged by the
    minimum duration and queries of mlperf.conf, and by the objectives of the scenario.
    """

    def __init__(self, answers: Answers) -> None:
        """Compute the latencies of the requests of a run."""
        done, slo = answers.of_done, answers.results.scenario.slo
        load = declared_load(answers.results.scenario) or ClientLoad()
        self.answers = answers
        self.offline = load.queued is not None
        self.latency_ns, self.first_ns = _ns(done.e2el_s), _ns(done.ttft_s)
        several = done.output_tokens > 1
        self.per_token_ns = (
            (self.latency_ns - self.first_ns)[several] / (done.output_tokens[several] - 1)
        ).astype(np.int64)
        self.tokens = int(np.sum(done.output_tokens))
        self.ttft_limit_ns, self.tpot_limit_ns = (
            nanoseconds(limit_s or 0.0) for limit_s in (slo.ttft_s, slo.tpot_s)
        )
        sent_s = answers.arrival_s
        self.scheduled_s = float(np.max(sent_s) - np.min(sent_s)) if len(sent_s) else 0.0
        self.target_per_s = self.scheduled_per_s if load.rate_per_s is None else load.rate_per_s
        self.verdict = self._verdict()

    @property
    def count(self) -> int:
        """Number of finished queries."""
        return len(self.latency_ns)

    @property
    def min_count(self) -> int:
        """Minimum number of queries that the LoadGen scenario requires."""
        return 1 if self.offline else MIN_QUERIES

    @property
    def scheduled_per_s(self) -> float:
        """Rate of sent queries over the time in which they were sent [1/s]."""
        return len(self.answers.done) / self.scheduled_s if self.scheduled_s else 0.0

    @property
    def completed_per_s(self) -> float:
        """Rate of finished queries over the duration [1/s]."""
        return self.answers.per_second(self.count)

    @property
    def tokens_per_s(self) -> float:
        """Rate of output tokens over the duration [tokens/s]."""
        return self.answers.per_second(self.tokens)

    def _verdict(self) -> Verdict:
        measured = ((self.first_ns, self.ttft_limit_ns), (self.per_token_ns, self.tpot_limit_ns))
        limited = [(values, limit) for values, limit in measured if limit and not self.offline]
        late = [
            int(np.sum(values > limit)) if limit and not self.offline else 0
            for values, limit in measured
        ]
        is_met = all(
            len(values) and ranked(values, [TARGET_PERCENT])[0] <= limit
            for values, limit in limited
        )
        length_s = self.answers.duration_s if self.offline else self.scheduled_s
        more = [0, 0] if self.offline else [more_queries(self.count, count) for count in late]
        is_long, are_many = length_s >= MIN_DURATION_S, self.count >= self.min_count
        return Verdict(is_met, is_long, are_many, *more)


def _ns(values_s: Array) -> Array:
    nanos: Array = np.rint(1e9 * values_s).astype(np.int64)
    return nanos


def stopping_lines(count: int, more: int) -> tuple[str, ...]:
    """Return LoadGen's lines on early stopping after `count` queries, if `more` are missing."""
    if not more:
        return (" * Run successful.",)
    return (
        " * Run unsuccessful.",
        f" * Processed {count} queries.",
        f" * Would need to run at least {more} more queries,",
        " with the run being successful if every additional",
        " query were under latency.",
    )
