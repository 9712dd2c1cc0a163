"""Writer of LoadGen's mlperf_log_detail.txt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from cluster_sim.export.benchmark import writer
from cluster_sim.export.mlperf.queries import Queries, stopping_lines
from cluster_sim.export.mlperf.summary import PERCENTS
from cluster_sim.export.mlperf.verdict import MIN_DURATION_S
from cluster_sim.export.percentiles import ranked
from cluster_sim.typing import Array

Entry = tuple[str, Any]
"""Key and value of a line of the log."""


def detail(queries: Queries) -> str:
    """Return the text of the file."""
    head = {
        "key": "",
        "value": None,
        "time_ms": 1e3 * queries.answers.end_s,
        "namespace": "mlperf::logging",
        "event_type": "POINT_IN_TIME",
        "metadata": {
            "is_error": False,
            "is_warning": False,
            "file": "cluster_sim",
            "line_no": 0,
            "pid": 0,
            "tid": 0,
        },
    }
    entries = [*_setup(queries), *_verdict(queries), *_results(queries), ("num_errors", 0)]
    return "".join(
        f":::MLLOG {json.dumps(head | {'key': key, 'value': value})}\n" for key, value in entries
    )


def _setup(queries: Queries) -> Iterator[Entry]:
    target = "offline_expected" if queries.offline else "server_target"
    yield "loadgen_version", writer()
    yield "sut_name", f"{writer()} {queries.answers.results.scenario.title}"
    yield "requested_scenario", "Offline" if queries.offline else "Server"
    yield "requested_test_mode", "PerformanceOnly"
    yield f"requested_{target}_qps", queries.target_per_s
    yield "requested_min_duration_ms", round(1e3 * MIN_DURATION_S)
    yield "requested_min_query_count", queries.min_count


def _verdict(queries: Queries) -> Iterator[Entry]:
    verdict = queries.verdict
    yield "result_validity", "VALID" if verdict.valid else "INVALID"
    if not queries.offline:
        yield "result_perf_constraints_met", verdict.perf_constraints
    yield "result_min_duration_met", verdict.min_duration
    yield "result_min_queries_met", verdict.min_queries
    yield "early_stopping_met", verdict.early_stopping
    if not queries.offline:
        for name, more in (("ttft", verdict.ttft_more), ("tpot", verdict.tpot_more)):
            yield f"early_stopping_{name}_result", " ".join(stopping_lines(queries.count, more))


def _results(queries: Queries) -> Iterator[Entry]:
    yield "result_query_count", 1 if queries.offline else queries.count
    if queries.offline:
        yield "result_samples_per_second", queries.completed_per_s
        yield "result_tokens_per_second", queries.tokens_per_s
    else:
        late = (queries.first_ns > queries.ttft_limit_ns) & bool(queries.ttft_limit_ns)
        yield "result_overlatency_query_count", int(np.sum(late))
        yield "result_scheduled_samples_per_sec", queries.scheduled_per_s
        yield "result_completed_samples_per_sec", queries.completed_per_s
    yield from _statistics(
        "result_{}_latency_ns", "result_{}_percentile_latency_ns", queries.latency_ns
    )
    if queries.offline:
        return
    yield from _statistics(
        "result_first_token_{}_latency_ns",
        "result_first_token_{}_percentile_latency_ns",
        queries.first_ns,
    )
    yield "result_token_throughput_with_loadgen_overhead", queries.tokens_per_s
    yield "result_token_throughput", queries.tokens_per_s
    yield from _statistics(
        "result_time_to_output_token_{}",
        "result_time_per_output_token_{}_percentile_ns",
        queries.per_token_ns,
    )
    yield "result_completed_tokens_per_second", queries.tokens_per_s


def _statistics(end: str, percentile: str, values: Array) -> Iterator[Entry]:
    """Yield minimum, maximum, mean and percentiles; nothing without values."""
    if len(values):
        yield end.format("min"), int(np.min(values))
        yield end.format("max"), int(np.max(values))
        yield end.format("mean"), int(np.mean(values))
        for percent, value in zip(PERCENTS, ranked(values, PERCENTS), strict=True):
            yield percentile.format(f"{percent:.2f}"), int(value)
