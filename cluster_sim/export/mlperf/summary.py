"""Writer of LoadGen's mlperf_log_summary.txt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster_sim.export.benchmark import writer
from cluster_sim.export.mlperf.queries import Queries, stopping_lines
from cluster_sim.export.mlperf.verdict import MIN_DURATION_S
from cluster_sim.export.percentiles import ranked
from cluster_sim.typing import Array

PERCENTS = (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)
"""Percentiles in both logs."""

_RULE = "=" * 48
_OF_ACCURACY = (
    "accuracy_log_rng_seed",
    "accuracy_log_probability",
    "accuracy_log_sampling_target",
    "print_timestamps",
    "performance_issue_unique",
    "performance_issue_same",
    "performance_issue_same_index",
)
"""Names of parameters that are 0 in a simulation."""


def summary(queries: Queries) -> str:
    """Return the text of the file."""
    lines = [*_results(queries), *_statistics(queries), *_parameters(queries)]
    return "\n".join(lines) + "\n"


def _results(queries: Queries) -> Iterator[str]:
    verdict = queries.verdict
    yield from (_RULE, "MLPerf Results Summary", _RULE)
    yield f"SUT name : {writer()} {queries.answers.results.scenario.title}"
    yield f"Scenario : {'Offline' if queries.offline else 'Server'}"
    yield "Mode     : PerformanceOnly"
    if queries.offline:
        yield f"Samples per second: {queries.completed_per_s:g}"
        yield f"Tokens per second: {queries.tokens_per_s:g}"
    else:
        yield f"Completed samples per second    : {queries.completed_per_s:.2f}"
        yield f"Completed tokens per second: {queries.tokens_per_s:.2f}"
    yield f"Result is : {'VALID' if verdict.valid else 'INVALID'}"
    if not queries.offline:
        yield f"  Performance constraints satisfied : {_yes(met=verdict.perf_constraints)}"
    yield f"  Min duration satisfied : {_yes(met=verdict.min_duration)}"
    yield f"  Min queries satisfied : {_yes(met=verdict.min_queries)}"
    yield f"  Early stopping satisfied: {_yes(met=verdict.early_stopping)}"
    if not queries.offline:
        yield "TTFT Early Stopping Result:"
        yield from stopping_lines(queries.count, verdict.ttft_more)
        yield "TPOT Early Stopping Result:"
        yield from stopping_lines(queries.count, verdict.tpot_more)


def _statistics(queries: Queries) -> Iterator[str]:
    yield from ("", _RULE, "Additional Stats", _RULE)
    if not queries.offline:
        yield f"Scheduled samples per second : {queries.scheduled_per_s:.2f}"
    yield from _block(
        "Min latency (ns)                : ", "percentile latency (ns)   : ", queries.latency_ns
    )
    yield ""
    if not queries.offline:
        yield f"Completed tokens per second                 : {queries.tokens_per_s:.2f}"
        yield from _block(
            "Min First Token latency (ns)                : ",
            "percentile first token latency (ns)   : ",
            queries.first_ns,
        )
        yield ""
        yield from _block(
            "Min Time per Output Token (ns)                : ",
            "percentile time to output token (ns)   : ",
            queries.per_token_ns,
        )
    yield ""


def _parameters(queries: Queries) -> Iterator[str]:
    sent, seed = len(queries.answers.done), queries.answers.results.scenario.seed
    yield from (_RULE, "Test Parameters Used", _RULE)
    yield f"samples_per_query : {sent if queries.offline else 1}"
    yield f"target_qps : {queries.target_per_s:g}"
    yield f"ttft_latency (ns): {queries.ttft_limit_ns}"
    yield f"tpot_latency (ns): {queries.tpot_limit_ns}"
    yield f"max_async_queries : {int(queries.offline)}"
    yield f"min_duration (ms): {1e3 * MIN_DURATION_S:.0f}"
    yield "max_duration (ms): 0"
    yield f"min_query_count : {queries.min_count}"
    yield "max_query_count : 0"
    for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
        yield f"{name} : {seed}"
    for name in _OF_ACCURACY:
        yield f"{name} : 0"
    yield f"performance_sample_count : {sent}"
    yield f"accuracy_sample_count : {sent}"
    yield from ("", "No warnings encountered during test.", "")
    yield "No errors encountered during test."


def _yes(*, met: bool) -> str:
    return "Yes" if met else "NO"


def _block(first: str, percentile: str, values: Array) -> Iterator[str]:
    """Yield minimum, maximum, mean and percentiles; nothing without values."""
    if len(values):
        yield f"{first}{np.min(values)}"
        yield f"{first.replace('Min', 'Max', 1)}{np.max(values)}"
        yield f"{first.replace('Min', 'Mean', 1).replace('  :', ' :', 1)}{int(np.mean(values))}"
        for percent, value in zip(PERCENTS, ranked(values, PERCENTS), strict=True):
            yield f"{percent:.2f} {percentile}{value:.0f}"
