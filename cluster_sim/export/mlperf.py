"""The logs of MLPerf's LoadGen. Source: mlcommons/inference at b66003e; as LoadGen 6.0.17 writes
them with token latencies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import nanoseconds, writer
from cluster_sim.export.client_load import declared_load
from cluster_sim.export.client_view import Answers
from cluster_sim.export.percentiles import ranked
from cluster_sim.typing import Array
from cluster_sim.workload.arrivals import ClientLoad

PERCENTS = (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)
MIN_DURATION_S = 600.0
MIN_QUERIES = 100
TARGET_PERCENT = 99.0
"""Of the Server scenario; its percentile of the limits, and with it the confidence that early
stopping wants. mlperf.conf."""

_RULE = "=" * 48
_TOO_LATE = 1.0 - TARGET_PERCENT / 100


@dataclass(frozen=True)
class Verdict:
    """Whether a run would count."""

    perf_constraints: bool
    """p99 of time to first token and per output token within the scenario's objectives; those that
    are not given hold always."""
    min_duration: bool
    min_queries: bool
    ttft_more: int
    """Queries that would still have to be run, none of them late, to be sure of the percentile; 0
    where early stopping is satisfied."""
    tpot_more: int

    @property
    def early_stopping(self) -> bool:
        """Enough queries for the percentile to be trusted."""
        return not self.ttft_more and not self.tpot_more

    @property
    def valid(self) -> bool:
        """All of them."""
        return (
            self.perf_constraints and self.min_duration and self.min_queries and self.early_stopping
        )


class Log:
    """What LoadGen says of the requests that count and finished: Offline where all were there at
    time zero, else Server.

    Times are whole nanoseconds; a percentile is the value at place floor(n·p) of those in order.
    Time per output token is (latency - first token)/(tokens - 1), of answers of several tokens. The
    run is judged by mlperf.conf's least duration and queries, and by the scenario's own objectives.
    """

    def __init__(self, answers: Answers) -> None:
        done = answers.of_done
        self.answers = answers
        self._load = declared_load(answers.results.scenario) or ClientLoad()
        self.offline = self._load.queued is not None
        self.latency_ns = _ns(done.e2el_s)
        self.first_ns = _ns(done.ttft_s)
        several = done.output_tokens > 1
        self.per_token_ns = (
            (self.latency_ns - self.first_ns)[several] / (done.output_tokens[several] - 1)
        ).astype(np.int64)
        self.tokens = int(np.sum(done.output_tokens))
        slo = answers.results.scenario.slo
        self.ttft_limit_ns, self.tpot_limit_ns = (
            nanoseconds(limit_s or 0.0) for limit_s in (slo.ttft_s, slo.tpot_s)
        )
        sent_s = answers.arrival_s
        self.scheduled_s = float(np.max(sent_s) - np.min(sent_s)) if len(sent_s) else 0.0
        self.verdict = self._verdict()

    @property
    def queries(self) -> int:
        """That finished."""
        return len(self.latency_ns)

    @property
    def target_per_s(self) -> float:
        """The rate that was asked for; where none was, that of the arrivals."""
        rate_per_s = self._load.rate_per_s
        return self.scheduled_per_s if rate_per_s is None else rate_per_s

    @property
    def scheduled_per_s(self) -> float:
        """Queries over the time in which they were sent."""
        return len(self.answers.done) / self.scheduled_s if self.scheduled_s else 0.0

    def _verdict(self) -> Verdict:
        limits = ((self.first_ns, self.ttft_limit_ns), (self.per_token_ns, self.tpot_limit_ns))
        judged = [(values, limit) for values, limit in limits if limit and not self.offline]
        late = [
            int(np.sum(values > limit)) if limit and not self.offline else 0
            for values, limit in limits
        ]
        met = all(
            len(values) and ranked(values, [TARGET_PERCENT])[0] <= limit for values, limit in judged
        )
        least_s = self.answers.duration_s if self.offline else self.scheduled_s
        more = [0, 0] if self.offline else [_more_queries(self.queries, count) for count in late]
        return Verdict(
            met,
            least_s >= MIN_DURATION_S,
            self.queries >= (1 if self.offline else MIN_QUERIES),
            *more,
        )

    def summary(self) -> str:
        """mlperf_log_summary.txt."""
        return "\n".join([*self._results(), *self._statistics(), *self._parameters()]) + "\n"

    def _results(self) -> Iterator[str]:
        verdict, answers = self.verdict, self.answers
        yield from (
            _RULE,
            "MLPerf Results Summary",
            _RULE,
            f"SUT name : {writer()} {answers.results.scenario.title}",
        )
        yield f"Scenario : {'Offline' if self.offline else 'Server'}"
        yield "Mode     : PerformanceOnly"
        if self.offline:
            yield f"Samples per second: {answers.per_second(self.queries):g}"
            yield f"Tokens per second: {answers.per_second(self.tokens):g}"
        else:
            yield f"Completed samples per second    : {answers.per_second(self.queries):.2f}"
            yield f"Completed tokens per second: {answers.per_second(self.tokens):.2f}"
        yield f"Result is : {'VALID' if verdict.valid else 'INVALID'}"
        if not self.offline:
            yield f"  Performance constraints satisfied : {_yes(verdict.perf_constraints)}"
        yield f"  Min duration satisfied : {_yes(verdict.min_duration)}"
        yield f"  Min queries satisfied : {_yes(verdict.min_queries)}"
        yield f"  Early stopping satisfied: {_yes(verdict.early_stopping)}"
        if not self.offline:
            yield from ("TTFT Early Stopping Result:", *self._stopping(verdict.ttft_more))
            yield from ("TPOT Early Stopping Result:", *self._stopping(verdict.tpot_more))

    def _stopping(self, more: int) -> tuple[str, ...]:
        if not more:
            return (" * Run successful.",)
        return (
            " * Run unsuccessful.",
            f" * Processed {self.queries} queries.",
            f" * Would need to run at least {more} more queries,",
            " with the run being successful if every additional",
            " query were under latency.",
        )

    def _statistics(self) -> Iterator[str]:
        yield from ("", _RULE, "Additional Stats", _RULE)
        if not self.offline:
            yield f"Scheduled samples per second : {self.scheduled_per_s:.2f}"
        yield from _block(
            "Min latency (ns)                : ", "percentile latency (ns)   : ", self.latency_ns
        )
        yield ""
        if not self.offline:
            yield f"Completed tokens per second                 : {self.answers.per_second(self.tokens):.2f}"
            yield from _block(
                "Min First Token latency (ns)                : ",
                "percentile first token latency (ns)   : ",
                self.first_ns,
            )
            yield ""
            yield from _block(
                "Min Time per Output Token (ns)                : ",
                "percentile time to output token (ns)   : ",
                self.per_token_ns,
            )
        yield ""

    def _parameters(self) -> Iterator[str]:
        yield from (_RULE, "Test Parameters Used", _RULE)
        seed = self.answers.results.scenario.seed
        yield f"samples_per_query : {len(self.answers.done) if self.offline else 1}"
        yield f"target_qps : {self.target_per_s:g}"
        yield f"ttft_latency (ns): {self.ttft_limit_ns}"
        yield f"tpot_latency (ns): {self.tpot_limit_ns}"
        yield f"max_async_queries : {int(self.offline)}"
        yield f"min_duration (ms): {1e3 * MIN_DURATION_S:.0f}"
        yield "max_duration (ms): 0"
        yield f"min_query_count : {1 if self.offline else MIN_QUERIES}"
        yield "max_query_count : 0"
        for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
            yield f"{name} : {seed}"
        for name in (
            "accuracy_log_rng_seed", "accuracy_log_probability", "accuracy_log_sampling_target", "print_timestamps", "performance_issue_unique",
            "performance_issue_same", "performance_issue_same_index",
        ):  # fmt: skip
            yield f"{name} : 0"
        yield f"performance_sample_count : {len(self.answers.done)}"
        yield f"accuracy_sample_count : {len(self.answers.done)}"
        yield from (
            "",
            "No warnings encountered during test.",
            "",
            "No errors encountered during test.",
        )

    def detail(self) -> str:
        """mlperf_log_detail.txt."""
        head = {
            "key": "", "value": None, "time_ms": 1e3 * self.answers.end_s, "namespace": "mlperf::logging", "event_type": "POINT_IN_TIME",
            "metadata": {"is_error": False, "is_warning": False, "file": "cluster_sim", "line_no": 0, "pid": 0, "tid": 0},
        }  # fmt: skip
        return "".join(
            f":::MLLOG {json.dumps(head | {'key': key, 'value': value})}\n"
            for key, value in self._entries()
        )

    def _entries(self) -> Iterator[tuple[str, Any]]:
        answers, verdict = self.answers, self.verdict
        yield "loadgen_version", writer()
        yield "sut_name", f"{writer()} {answers.results.scenario.title}"
        yield "requested_scenario", "Offline" if self.offline else "Server"
        yield "requested_test_mode", "PerformanceOnly"
        yield (
            f"requested_{'offline_expected' if self.offline else 'server_target'}_qps",
            self.target_per_s,
        )
        yield "requested_min_duration_ms", round(1e3 * MIN_DURATION_S)
        yield "requested_min_query_count", 1 if self.offline else MIN_QUERIES
        yield "result_validity", "VALID" if verdict.valid else "INVALID"
        if not self.offline:
            yield "result_perf_constraints_met", verdict.perf_constraints
        yield "result_min_duration_met", verdict.min_duration
        yield "result_min_queries_met", verdict.min_queries
        yield "early_stopping_met", verdict.early_stopping
        if not self.offline:
            yield "early_stopping_ttft_result", " ".join(self._stopping(verdict.ttft_more))
            yield "early_stopping_tpot_result", " ".join(self._stopping(verdict.tpot_more))
        yield "result_query_count", 1 if self.offline else self.queries
        if self.offline:
            yield "result_samples_per_second", answers.per_second(self.queries)
            yield "result_tokens_per_second", answers.per_second(self.tokens)
        else:
            late = (self.first_ns > self.ttft_limit_ns) & bool(self.ttft_limit_ns)
            yield "result_overlatency_query_count", int(np.sum(late))
            yield "result_scheduled_samples_per_sec", self.scheduled_per_s
            yield "result_completed_samples_per_sec", answers.per_second(self.queries)
        yield from _entries(
            "result_{}_latency_ns", "result_{}_percentile_latency_ns", self.latency_ns
        )
        if not self.offline:
            yield from _entries(
                "result_first_token_{}_latency_ns",
                "result_first_token_{}_percentile_latency_ns",
                self.first_ns,
            )
            yield "result_token_throughput_with_loadgen_overhead", answers.per_second(self.tokens)
            yield "result_token_throughput", answers.per_second(self.tokens)
            yield from _entries(
                "result_time_to_output_token_{}",
                "result_time_per_output_token_{}_percentile_ns",
                self.per_token_ns,
            )
            yield "result_completed_tokens_per_second", answers.per_second(self.tokens)
        yield "num_errors", 0


def _ns(values_s: Array) -> Array:
    nanos: Array = np.rint(1e9 * values_s).astype(np.int64)
    return nanos


def _yes(met: bool) -> str:
    return "Yes" if met else "NO"


def _block(first: str, percentile: str, values: Array) -> Iterator[str]:
    """Least, greatest, mean, and the percentiles; nothing where there are no values."""
    if len(values):
        yield f"{first}{np.min(values)}"
        yield f"{first.replace('Min', 'Max', 1)}{np.max(values)}"
        yield f"{first.replace('Min', 'Mean', 1).replace('  :', ' :', 1)}{int(np.mean(values))}"
        for percent, value in zip(PERCENTS, ranked(values, PERCENTS), strict=True):
            yield f"{percent:.2f} {percentile}{value:.0f}"


def _entries(end: str, percentile: str, values: Array) -> Iterator[tuple[str, int]]:
    if len(values):
        yield end.format("min"), int(np.min(values))
        yield end.format("max"), int(np.max(values))
        yield end.format("mean"), int(np.mean(values))
        for percent, value in zip(PERCENTS, ranked(values, PERCENTS), strict=True):
            yield percentile.format(f"{percent:.2f}"), int(value)


def _more_queries(queries: int, late: int) -> int:
    """How many more queries, none of them late, would make it 99 % sure that at most 1 % are.

    The least n with P(at most `late` of n are late) <= 1 % where 1 % are late in truth. Source:
    MLPerf inference rules, early stopping.

    >>> _more_queries(54, 0), _more_queries(459, 0)
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
